"""Runs of a study as people want to see them: one row each, as of a tuning's trials."""

from __future__ import annotations

from typing import Final

from tuner.deciding.history import Entry, stage_of
from tuner.deciding.study.arms import plans
from tuner.deciding.study.job import StudyJob
from tuner.deciding.trials import TrialView
from tuner.records import MinimumShape, StudyOutcome, StudyRun, StudyRunResult

STATES: Final = {
    StudyOutcome.CONVERGED: "complete",
    StudyOutcome.EXHAUSTED: "censored",
    StudyOutcome.DIVERGED: "diverged",
    StudyOutcome.OUT_OF_MEMORY: "infeasible",
}


def run_views(job: StudyJob) -> tuple[TrialView, ...]:
    """Show every run, in starting order; steps, seconds and metric are those of its minimum."""
    if job.findings.timing is None:
        return ()
    seconds = {
        (plan.batch_size, plan.learning_rate, plan.rule == "rprop"): plan.step_seconds
        for plan in plans(job)
    }
    entries = [e for e in job.history.entries() if isinstance(e.request, StudyRun)]
    return tuple(_view(job, number, entry, seconds) for number, entry in enumerate(entries))


def _view(
    job: StudyJob, number: int, entry: Entry, seconds: dict[tuple[int, float, bool], float]
) -> TrialView:
    request, result = entry.request, entry.result
    assert isinstance(request, StudyRun)  # noqa: S101  (the caller chose them)
    whole = request.workload.training["optimizer"]["kind"] == "rprop"
    ended = result if isinstance(result, StudyRunResult) else None
    least = ended.points[ended.minimum] if ended and ended.minimum is not None else None
    each = seconds.get((request.global_batch_size, request.learning_rate, whole))
    state = "infeasible" if entry.ended else "running"
    return TrialView(
        number=number,
        request_id=request.id,
        stage=stage_of(request.id),
        global_batch_size=request.global_batch_size,
        micro_batch_size=request.micro_batch_size,
        gradient_accumulation_steps=-(-request.global_batch_size // request.micro_batch_size),
        learning_rate=request.learning_rate,
        seed=request.seed,
        state=STATES[ended.outcome] if ended else state,
        steps=float(least.step) if least else None,
        calibrated_seconds=least.step * each if least and each else None,
        metric=least.validation_loss if least else None,
        asam=_asam(job, request.id),
    )


def _asam(job: StudyJob, request_id: str) -> float | None:
    entry = job.history.get(request_id.replace("train-", "minima-", 1))
    shape = entry.result if entry is not None else None
    return shape.asam if isinstance(shape, MinimumShape) else None
