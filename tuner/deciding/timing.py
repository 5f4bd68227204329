"""Timing: seconds per optimizer step for every global batch, and the best way to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tuner.deciding.job import Job, Wants, failure_of, stopped_early
from tuner.errors import NoFeasibleBatch
from tuner.records import BatchPlan, PassTiming, StepTiming, TimingMeasurement

WINDOW_SECONDS: Final = 2.0
"""Steady state that is timed at each micro-batch size, at least."""

ROUNDS: Final = 3
"""Rounds over the sizes, interleaved."""

WORTH_ACCUMULATING: Final = 0.98
"""Accumulation is chosen over one pass only if it takes less than this share of its time."""

MAX_SPREAD: Final = 0.15
"""Windows that differ by more than this are timed anew: the machine was not quiet."""


MAX_TIMINGS: Final = 3
"""Timings at most; each size keeps the one whose windows agreed best."""

RETIMING_SHARE: Final = 0.1
"""A timing that cost more than this share of the budget is not repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Calibrated seconds of every global batch.

    Args:
        passes: What was measured, by micro-batch size.
        plans: The fastest way to run each global batch.
        step_seconds: Seconds of one optimizer step of that plan, by global batch.
        fixed_seconds: Seconds of a step that do not grow with the batch (fit).
        seconds_per_sample: Seconds of a step per sample (fit).
        evaluation_seconds: Seconds of one evaluation of the whole validation set.
    """

    passes: Mapping[int, PassTiming]
    plans: Mapping[int, BatchPlan]
    step_seconds: Mapping[int, float]
    fixed_seconds: float
    seconds_per_sample: float
    evaluation_seconds: float

    def samples_per_second(self, global_batch_size: int) -> float:
        """Training throughput at a global batch."""
        return global_batch_size / self.step_seconds[global_batch_size]

    def run_seconds(self, global_batch_size: int, steps: float, cadence_seconds: float) -> float:
        """Predict what a run costs a device, evaluations included."""
        training = steps * self.step_seconds[global_batch_size]
        return training * (1.0 + self.evaluation_seconds / max(cadence_seconds, 1e-9))

    @property
    def spread(self) -> float:
        """The largest relative half-range over the sizes."""
        return max(timing.spread for timing in self.passes.values())


def finding(job: Job) -> Throughput | None:
    """Work out the step times, once the passes are timed on a machine that was quiet.

    Raises:
        TunerError: Timing raised, or the budget ended first.
    """
    timings = _timings(job)
    if not timings or (not job.over and _again(job, timings)):
        if job.over:
            raise stopped_early(job, "timing")
        return None
    return throughput(_batches(job), steadiest(timings))


def wants(job: Job) -> Wants:
    """Ask for all sizes in one timing, so that they share the state of the machine."""
    timings = _timings(job)
    request_id = f"timing-{len(timings)}"
    if request_id in job.history or (timings and not _again(job, timings)):
        return Wants()
    return Wants(
        requests=(
            StepTiming(
                id=request_id,
                workload=job.workload,
                micro_batch_sizes=micro_batch_sizes(_batches(job), _largest(job)),
                window_seconds=WINDOW_SECONDS,
                rounds=ROUNDS,
            ),
        )
    )


def steadiest(timings: Sequence[TimingMeasurement]) -> TimingMeasurement:
    """Keep, for each micro-batch size, the timing whose windows agreed best."""
    best: dict[int, PassTiming] = {}
    for timing in timings:
        for one in timing.passes:
            known = best.get(one.micro_batch_size)
            if known is None or one.spread < known.spread:
                best[one.micro_batch_size] = one
    return TimingMeasurement(
        passes=tuple(best.values()),
        evaluation_seconds=min(timing.evaluation_seconds for timing in timings),
        device_seconds=sum(timing.device_seconds for timing in timings),
    )


def micro_batch_sizes(batches: Sequence[int], largest: int) -> tuple[int, ...]:
    """Return, for each global batch, its largest divisor that fits in memory."""
    return tuple(
        sorted({max(d for d in range(1, min(b, largest) + 1) if b % d == 0) for b in batches})
    )


def throughput(batches: Sequence[int], timing: TimingMeasurement) -> Throughput:
    """Choose the fastest plan of each global batch: tau(m, s) = s * pass(m) + optimizer.

    Args:
        batches: Global batches to plan for.
        timing: Measured passes.

    Returns:
        Plans whose product is exactly the global batch, and their step times; a batch whose
        sizes all ran out of memory is left out.

    Raises:
        NoFeasibleBatch: No batch is left.
    """
    passes = {one.micro_batch_size: one for one in timing.passes}
    possible = [batch for batch in batches if any(batch % size == 0 for size in passes)]
    if not possible:
        raise NoFeasibleBatch(
            "Every micro-batch size ran out of memory while it was timed, though it had fitted "
            "before: something else took the device's memory. Try again when it is free.",
            pointer="/hardware/memory_limit_bytes",
        )
    plans = {batch: _best_plan(batch, passes) for batch in possible}
    seconds = {batch: step_seconds(plan, passes) for batch, plan in plans.items()}
    fixed, per_sample = _fit(seconds)
    return Throughput(
        passes=passes,
        plans=plans,
        step_seconds=seconds,
        fixed_seconds=fixed,
        seconds_per_sample=per_sample,
        evaluation_seconds=timing.evaluation_seconds,
    )


def step_seconds(plan: BatchPlan, passes: Mapping[int, PassTiming]) -> float:
    """Seconds of one optimizer step; input is part of each pass."""
    one = passes[plan.micro_batch_size]
    return plan.gradient_accumulation_steps * one.pass_seconds + one.optimizer_seconds


def _best_plan(batch: int, passes: Mapping[int, PassTiming]) -> BatchPlan:
    plans = [
        BatchPlan(micro_batch_size=size, gradient_accumulation_steps=batch // size)
        for size in sorted(passes, reverse=True)
        if batch % size == 0
    ]
    best = plans[0]
    for plan in plans[1:]:
        if step_seconds(plan, passes) < WORTH_ACCUMULATING * step_seconds(best, passes):
            best = plan
    return best


def _fit(seconds: Mapping[int, float]) -> tuple[float, float]:
    """Fit seconds = fixed + per_sample * batch by relative least squares, both at least 0."""
    if len(seconds) == 1:
        ((batch, value),) = seconds.items()
        return 0.0, value / batch
    sizes = np.array(list(seconds), dtype=float)
    values = np.array(list(seconds.values()))
    design = np.stack([1.0 / values, sizes / values], axis=1)
    (fixed, per_sample), *_ = np.linalg.lstsq(design, np.ones_like(values), rcond=None)
    if fixed < 0.0:
        ratio = sizes / values
        return 0.0, float(ratio.sum() / (ratio**2).sum())
    return float(fixed), max(0.0, float(per_sample))


def _timings(job: Job) -> list[TimingMeasurement]:
    timings = []
    for entry in job.history.of("timing"):
        if entry.problem is not None:
            raise failure_of(entry)
        if isinstance(entry.result, TimingMeasurement):
            timings.append(entry.result)
    return timings


def _again(job: Job, timings: Sequence[TimingMeasurement]) -> bool:
    """Whether the machine was too busy, and timing it once more is worth its price."""
    spread = max((one.spread for one in steadiest(timings).passes), default=0.0)
    affordable = timings[-1].device_seconds <= RETIMING_SHARE * job.budget_seconds
    return spread > MAX_SPREAD and len(timings) < MAX_TIMINGS and affordable


def _batches(job: Job) -> tuple[int, ...]:
    assert job.findings.inspect is not None  # noqa: S101  (stages run in order)
    return job.findings.inspect.batches


def _largest(job: Job) -> int:
    assert job.findings.memory is not None  # noqa: S101  (stages run in order)
    return job.findings.memory.max_micro_batch_size
