"""Timing: seconds of one optimizer step of every batch, the uneven last pass included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.deciding.errand import Wants, failure_of, stopped_early
from tuner.deciding.study.job import Rule, StudyJob
from tuner.deciding.timing import (
    MAX_SPREAD,
    MAX_TIMINGS,
    RETIMING_SHARE,
    ROUNDS,
    WINDOW_SECONDS,
    steadiest,
)
from tuner.errors import NoFeasibleBatch
from tuner.records import PassTiming, StepTiming, TimingMeasurement


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """Calibrated step times.

    Args:
        passes: What was measured, by rule and micro-batch size.
        largest: The largest micro-batch of each rule.
    """

    passes: Mapping[Rule, Mapping[int, PassTiming]]
    largest: Mapping[Rule, int]

    def micro_batch_size(self, rule: Rule, batch: int) -> int:
        """Return the samples of a pass: all of the batch, or what fits."""
        return min(batch, self.largest[rule])

    def step_seconds(self, rule: Rule, batch: int) -> float | None:
        """Seconds of one optimizer step; None where a size ran out of memory when timed.

        tau(B) = floor(B / m) * pass(m) + pass(B mod m) + optimizer(m)
        """
        timed, micro = self.passes[rule], self.micro_batch_size(rule, batch)
        if any(size not in timed for size in pass_sizes(batch, micro)):
            return None
        whole, rest = divmod(batch, micro)
        seconds = whole * timed[micro].pass_seconds + timed[micro].optimizer_seconds
        return seconds + (timed[rest].pass_seconds if rest else 0.0)

    @property
    def spread(self) -> float:
        """The largest relative half-range of the windows over all sizes."""
        return max(map(self.spread_of, self.passes))

    def spread_of(self, rule: Rule) -> float:
        """Return the same over the sizes of one rule; 0 where none could be timed."""
        return max((one.spread for one in self.passes[rule].values()), default=0.0)


def pass_sizes(batch: int, micro_batch_size: int) -> tuple[int, ...]:
    """Return the different sizes of the passes of one step."""
    rest = batch % micro_batch_size
    return (micro_batch_size, rest) if rest else (micro_batch_size,)


def finding(job: StudyJob) -> StepTimes | None:
    """Put the step times together, once they were taken on a machine that was quiet.

    Raises:
        TunerError: Timing raised, ran out of memory at every size, or the budget ended first.
    """
    passes: dict[Rule, dict[int, PassTiming]] = {}
    for rule in job.rules:
        timings = _timings(job, rule)
        awaited = _is_open(job, rule) or _again(job, rule, timings)
        if not timings and job.over:
            raise stopped_early(job, "timing")
        if awaited and not job.over:
            return None
        passes[rule] = {one.micro_batch_size: one for one in steadiest(timings).passes}
    times = StepTimes(passes=passes, largest=_largest(job))
    if all(times.step_seconds("optimizer", batch) is None for batch in job.spec.batch_sizes):
        raise NoFeasibleBatch(
            "Every micro-batch size ran out of memory while it was timed, though it had fitted "
            "before: something else took the device's memory. Try again when it is free.",
            pointer="/hardware/memory_limit_bytes",
        )
    return times


def wants(job: StudyJob) -> Wants:
    """Ask for all sizes of a rule in one timing, so that they share the state of the machine."""
    return Wants(
        requests=tuple(
            _timing(job, rule)
            for rule in job.rules
            if not _is_open(job, rule) and _again(job, rule, _timings(job, rule))
        )
    )


def _timing(job: StudyJob, rule: Rule) -> StepTiming:
    largest = _largest(job)[rule]
    batches = job.spec.batch_sizes if rule == "optimizer" else [job.largest_batch(rule)]
    sizes = {size for batch in batches for size in pass_sizes(batch, min(batch, largest))}
    return StepTiming(
        id=f"timing-{rule}-{_asked(job, rule)}",
        workload=job.workload(rule),
        micro_batch_sizes=tuple(sorted(sizes)),
        window_seconds=WINDOW_SECONDS,
        rounds=ROUNDS,
    )


def _timings(job: StudyJob, rule: Rule) -> list[TimingMeasurement]:
    """Timings that have ended; one that failed is missed only if there is no other."""
    asked = (job.history.get(f"timing-{rule}-{i}") for i in range(_asked(job, rule)))
    entries = [entry for entry in asked if entry is not None and entry.ended]
    timings = [e.result for e in entries if isinstance(e.result, TimingMeasurement)]
    if entries and not timings:
        raise failure_of(entries[0])
    return timings


def _again(job: StudyJob, rule: Rule, timings: Sequence[TimingMeasurement]) -> bool:
    """Whether there is no timing yet, or the machine was busy and another one is cheap."""
    if not timings:
        return True
    spread = max((one.spread for one in steadiest(timings).passes), default=0.0)
    affordable = timings[-1].device_seconds <= RETIMING_SHARE * job.budget_seconds
    return spread > MAX_SPREAD and _asked(job, rule) < MAX_TIMINGS and affordable


def _is_open(job: StudyJob, rule: Rule) -> bool:
    asked = (job.history.get(f"timing-{rule}-{i}") for i in range(_asked(job, rule)))
    return any(entry is not None and not entry.ended for entry in asked)


def _asked(job: StudyJob, rule: Rule) -> int:
    return sum(e.request.id.startswith(f"timing-{rule}-") for e in job.history.of("timing"))


def _largest(job: StudyJob) -> Mapping[Rule, int]:
    assert job.findings.memory is not None  # noqa: S101  (stages run in order)
    return job.findings.memory
