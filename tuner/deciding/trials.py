"""Training runs as people want to see them: one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tuner import curve
from tuner.deciding.history import Entry, stage_of
from tuner.deciding.job import Job
from tuner.deciding.runs import plan_seconds
from tuner.records import Outcome, TrainingResult, TrainingRun

STATES: Final = {
    Outcome.REACHED: "complete",
    Outcome.CENSORED: "censored",
    Outcome.DIVERGED: "diverged",
    Outcome.OUT_OF_MEMORY: "infeasible",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """One training run.

    Args:
        number: Counts from 0 in starting order.
        request_id: Of the run.
        stage: `verify`, `race`, `search` or `confirm`.
        global_batch_size: Samples per optimizer step.
        micro_batch_size: Samples per pass.
        gradient_accumulation_steps: Passes per optimizer step.
        learning_rate: Peak rate.
        seed: Of the training.
        state: `running`, `complete`, `censored`, `diverged` or `infeasible`.
        steps: To the target if it was reached, else taken.
        calibrated_seconds: The same in calibrated time.
        metric: Smoothed metric at the end.
        asam: ASAM sharpness at the end, where measured.
    """

    number: int
    request_id: str
    stage: str
    global_batch_size: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    seed: int
    state: str
    steps: float | None = None
    calibrated_seconds: float | None = None
    metric: float | None = None
    asam: float | None = None


def trial_views(job: Job) -> tuple[TrialView, ...]:
    """Show every training run of a job, in starting order."""
    entries = [e for e in job.history.entries() if isinstance(e.request, TrainingRun)]
    return tuple(_view(job, number, entry) for number, entry in enumerate(entries))


def best_trial(trials: Sequence[TrialView]) -> Mapping[str, Any] | None:
    """Return the completed run of the least calibrated time, as plain values."""
    done = [one for one in trials if one.state == "complete" and one.calibrated_seconds]
    if not done:
        return None
    return asdict(min(done, key=lambda one: one.calibrated_seconds or 0.0))


def _view(job: Job, number: int, entry: Entry) -> TrialView:
    request, result = entry.request, entry.result
    assert isinstance(request, TrainingRun)  # noqa: S101  (the caller chose them)
    view = TrialView(
        number=number,
        request_id=request.id,
        stage=stage_of(request.id),
        global_batch_size=request.plan.global_batch_size,
        micro_batch_size=request.plan.micro_batch_size,
        gradient_accumulation_steps=request.plan.gradient_accumulation_steps,
        learning_rate=request.learning_rate,
        seed=request.seed,
        state="running" if not entry.ended else "infeasible",
    )
    if not isinstance(result, TrainingResult):
        return view
    steps = result.crossing_steps if result.crossing_steps is not None else float(result.steps)
    values = curve.smoothed(result.curve)
    return TrialView(
        **asdict(view)
        | {
            "state": _state(request, result),
            "steps": steps,
            "calibrated_seconds": steps * plan_seconds(job, request.plan),
            "metric": values[-1] if values else None,
            "asam": result.sharpness.asam if result.sharpness else None,
        }
    )


def _state(request: TrainingRun, result: TrainingResult) -> str:
    """A run without a target is complete when it has taken all of its steps."""
    if result.outcome is Outcome.CENSORED and request.target is None:
        return "complete" if result.steps >= request.max_steps else "censored"
    return STATES[result.outcome]
