"""One run of a stack: what it was asked, how far it has come, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from tuner.curve import crossing_steps
from tuner.measuring.checkpoint import Progress
from tuner.measuring.evaluation import Evaluation
from tuner.records import CurvePoint, Outcome, Sharpness, TrainingResult, TrainingRun


@dataclass(slots=True, kw_only=True)
class Lane:
    """A run beside others.

    Args:
        request: What was asked.
        progress: How far it has come.
        limit: The step limit that holds.
        resumed: Whether a checkpoint was found and used.
        outcome: How it ended; None while it goes on.
        last_point: An evaluation off the cadence, where the run ended.
        train_steps: Steps taken for this request.
        train_seconds: Its share of the stack's seconds inside steps.
        evaluation_seconds: Its share of the stack's seconds of evaluation.
        sharpness: Where it ended, if asked for.
        checkpoint: Name of the checkpoint that was left, if any.
    """

    request: TrainingRun
    progress: Progress = field(default_factory=Progress)
    limit: int
    resumed: bool = False
    outcome: Outcome | None = None
    last_point: CurvePoint | None = None
    train_steps: int = 0
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    sharpness: Sharpness | None = None
    checkpoint: str | None = None

    def begin(self, seen: Evaluation) -> None:
        """Take the evaluation before the first step."""
        self.progress.initial_loss = seen.loss
        if seen.diverged_from(seen.loss):
            self.outcome = Outcome.DIVERGED

    def take(self, seen: Evaluation, metric: str) -> None:
        """Take an evaluation, and end where it shows a reason to."""
        progress, initial = self.progress, self.progress.initial_loss
        point = CurvePoint(step=progress.step, value=seen.value)
        if progress.step % self.request.evaluate_every_steps == 0:
            progress.curve.append(point)
        else:
            self.last_point = point
        if initial is not None and seen.diverged_from(initial):
            self.outcome = Outcome.DIVERGED
        elif self.crossing(metric) is not None:
            self.outcome = Outcome.REACHED

    def end_at_limit(self, *, late: bool) -> None:
        """End where no more steps are allowed."""
        if self.outcome is None and (late or self.progress.step >= self.limit):
            self.outcome = Outcome.CENSORED

    def crossing(self, metric: str) -> float | None:
        """Say at how many steps the smoothed curve crossed the target."""
        if self.request.target is None:
            return None
        return crossing_steps(self.curve, self.request.target, metric)

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """All evaluations."""
        last = () if self.last_point is None else (self.last_point,)
        return (*self.progress.curve, *last)

    def result(self, metric: str, device_seconds: float) -> TrainingResult:
        """State what the run has shown.

        Args:
            metric: Metric of the workload.
            device_seconds: Its share of the whole stack's wall seconds.
        """
        outcome = Outcome.CENSORED if self.outcome is None else self.outcome
        return TrainingResult(
            outcome=outcome,
            steps=self.progress.step,
            crossing_steps=self.crossing(metric) if outcome is Outcome.REACHED else None,
            curve=self.curve,
            noise=tuple(self.progress.noise),
            sharpness=self.sharpness,
            train_seconds=self.train_seconds,
            train_steps=self.train_steps,
            evaluation_seconds=self.evaluation_seconds,
            device_seconds=device_seconds,
            limit_applied=self.limit,
            checkpoint=self.checkpoint,
            resumed=self.resumed,
        )
