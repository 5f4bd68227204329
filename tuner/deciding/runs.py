"""Training runs: how one is asked for, and what its steps cost in calibrated seconds."""

from __future__ import annotations

from typing import Final

from tuner import curve
from tuner.deciding.history import Run
from tuner.deciding.job import Job
from tuner.deciding.timing import Throughput
from tuner.records import BatchPlan, Measure, Outcome, TrainingRun

NO_MEASURE: Final = Measure()


def throughput_of(job: Job) -> Throughput:
    """Return the calibrated step times; every stage after timing has them."""
    assert job.findings.timing is not None  # noqa: S101  (stages run in order)
    return job.findings.timing


def training_run(
    job: Job,
    request_id: str,
    *,
    global_batch_size: int,
    learning_rate: float,
    seed: int,
    max_steps: int,
    cadence_seconds: float,
    target: float | None,
    measure: Measure = NO_MEASURE,
    resume_from: str | None = None,
    checkpoint: bool = False,
) -> TrainingRun:
    """Make the request for one training run, on the best plan of its global batch.

    Evaluations come at a cadence equal in calibrated time, not in steps, so that no batch
    size sees its crossing more finely than another.
    """
    timing = throughput_of(job)
    every = round(cadence_seconds / timing.step_seconds[global_batch_size])
    return TrainingRun(
        id=request_id,
        workload=job.workload,
        plan=timing.plans[global_batch_size],
        learning_rate=learning_rate,
        seed=seed,
        max_steps=max(1, max_steps),
        evaluate_every_steps=max(1, min(every, max_steps)),
        target=target,
        device_kind=job.device_kind,
        deadline_seconds=job.deadline_seconds,
        measure=measure,
        resume_from=resume_from,
        checkpoint=checkpoint,
    )


def plan_seconds(job: Job, plan: BatchPlan) -> float:
    """Calibrated seconds of one optimizer step of a plan."""
    return throughput_of(job).step_seconds[plan.global_batch_size]


def trained_seconds(job: Job, run: Run) -> float:
    """Calibrated seconds of all the steps a run took."""
    return run.result.steps * plan_seconds(job, run.request.plan)


def seconds_to(job: Job, run: Run, target: float) -> float | None:
    """Calibrated seconds until a run crossed a target; None if it did not.

    Args:
        job: Whose run it is.
        run: A run with a result, whatever target it was stopped by.
        target: Value of the job's metric.
    """
    steps = steps_to(job, run, target)
    return None if steps is None else steps * plan_seconds(job, run.request.plan)


def steps_to(job: Job, run: Run, target: float) -> float | None:
    """Optimizer steps until a run crossed a target; None if it did not."""
    return curve.crossing_steps(run.result.curve, target, job.spec.objective.metric)


def final_metric(run: Run) -> float | None:
    """The smoothed metric at the end of a run; None of a run that diverged or never ran."""
    if run.result.outcome in {Outcome.DIVERGED, Outcome.OUT_OF_MEMORY} or not run.result.curve:
        return None
    return curve.smoothed(run.result.curve)[-1]
