"""Arms: one batch size at one learning rate each, and the runs that trained it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal

from tuner.deciding.history import Entry
from tuner.deciding.study.job import Rule, StudyJob
from tuner.deciding.study.timing import StepTimes
from tuner.records import EpochPoint, StudyOutcome, StudyRunResult

State = Literal["running", "converged", "exhausted", "diverged", "out_of_memory", "failed"]

STATES: Final[dict[StudyOutcome, State]] = {
    StudyOutcome.CONVERGED: "converged",
    StudyOutcome.EXHAUSTED: "exhausted",
    StudyOutcome.DIVERGED: "diverged",
    StudyOutcome.OUT_OF_MEMORY: "out_of_memory",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPlan:
    """What an arm trains with.

    Args:
        name: Part of the ids of its requests: `b32-r0`, or `full-r0` for the full batch.
        batch_size: Samples per optimizer step.
        micro_batch_size: Samples per pass at most.
        learning_rate: Per optimizer step.
        rule: What trains it.
        step_seconds: Calibrated seconds of one optimizer step.
    """

    name: str
    batch_size: int
    micro_batch_size: int
    learning_rate: float
    rule: Rule
    step_seconds: float

    def request_id(self, stage: str, replicate: int) -> str:
        """Name what a stage asks of one of its runs."""
        return f"{stage}-{self.name}-s{replicate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRun:
    """One training of an arm.

    Args:
        request_id: Of the run.
        replicate: Which seed of the study, counted from 0.
        seed: The seed itself.
        state: How it ended, or that it is still running.
        result: What it showed; None while it runs and where it failed.
    """

    request_id: str
    replicate: int
    seed: int
    state: State
    result: StudyRunResult | None

    @property
    def minimum(self) -> EpochPoint | None:
        """The point of the lowest validation loss; None where there is none."""
        if self.result is None or self.result.minimum is None:
            return None
        return self.result.points[self.result.minimum]

    @property
    def minimiser(self) -> str | None:
        """Name of the weights at the minimum; None where they are not worth a look."""
        trained = self.state in {"converged", "exhausted"}
        return self.result.minimiser if self.result is not None and trained else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """An arm with the runs that were started, by seed."""

    arm: ArmPlan
    runs: tuple[ArmRun, ...]

    @property
    def converged(self) -> tuple[ArmRun, ...]:
        """Runs that left their minimum behind them."""
        return tuple(run for run in self.runs if run.state == "converged")

    @property
    def mean_loss(self) -> float:
        """Mean lowest validation loss of the converged runs; infinite without one."""
        losses = [run.minimum.validation_loss for run in self.converged if run.minimum]
        return fmean(losses) if losses else float("inf")

    def run(self, replicate: int) -> ArmRun | None:
        """Return the run on a seed; None if it was not started."""
        return next((run for run in self.runs if run.replicate == replicate), None)


def plans(job: StudyJob) -> tuple[ArmPlan, ...]:
    """Return every arm by batch and rate, the full batch last.

    A batch whose passes ran out of memory when they were timed has none.
    """
    times = _times(job)
    found = [
        _plan(times, f"b{batch}-r{index}", batch, rate, "optimizer")
        for batch in job.spec.batch_sizes
        for index, rate in enumerate(job.spec.rates(batch))
    ]
    if job.spec.full_batch is not None:
        everything = job.largest_batch("rprop")
        rate = job.spec.full_batch.learning_rate
        found.append(_plan(times, "full-r0", everything, rate, "rprop"))
    return tuple(plan for plan in found if plan is not None)


def trained(job: StudyJob) -> tuple[Trained, ...]:
    """Return every arm with what its runs showed so far."""
    return tuple(
        Trained(
            arm=plan,
            runs=tuple(
                _run(job, entry, replicate)
                for replicate in range(job.spec.seeds)
                if (entry := job.history.get(plan.request_id("train", replicate))) is not None
            ),
        )
        for plan in plans(job)
    )


def settled(job: StudyJob) -> tuple[Trained, ...]:
    """Return the arms as they were when training ended."""
    assert job.findings.train is not None  # noqa: S101  (stages run in order)
    return job.findings.train


def best_of_batch(arms: Sequence[Trained], batch_size: int) -> Trained | None:
    """Return the arm of a batch that ends lowest, those first that converge most often.

    Args:
        arms: All arms of the study.
        batch_size: Samples per optimizer step.

    Returns:
        The arm; None where no run of that batch converged.
    """
    there = [
        one
        for one in arms
        if one.arm.batch_size == batch_size and one.arm.rule == "optimizer" and one.converged
    ]
    return min(there, key=lambda one: (-len(one.converged), one.mean_loss), default=None)


def _plan(
    times: StepTimes, name: str, batch: int, learning_rate: float, rule: Rule
) -> ArmPlan | None:
    seconds = times.step_seconds(rule, batch)
    if seconds is None:
        return None
    return ArmPlan(
        name=name,
        batch_size=batch,
        micro_batch_size=times.micro_batch_size(rule, batch),
        learning_rate=learning_rate,
        rule=rule,
        step_seconds=seconds,
    )


def _run(job: StudyJob, entry: Entry, replicate: int) -> ArmRun:
    result = entry.result if isinstance(entry.result, StudyRunResult) else None
    state: State = "failed" if entry.ended else "running"
    return ArmRun(
        request_id=entry.request.id,
        replicate=replicate,
        seed=job.study_seed(replicate),
        state=STATES[result.outcome] if result is not None else state,
        result=result,
    )


def _times(job: StudyJob) -> StepTimes:
    assert job.findings.timing is not None  # noqa: S101  (stages run in order)
    return job.findings.timing
