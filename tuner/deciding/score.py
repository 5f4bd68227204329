"""What a run was worth: one number, lower is better, and whether it was cut short.

For a time goal the score is ln of the calibrated seconds to the target. A run that was
stopped before is *censored*: all that is known is that it takes longer. For a metric goal the
score is ln of the loss, or of the error rate, at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tuner import curve
from tuner.deciding.history import Run
from tuner.deciding.job import Job
from tuner.deciding.plan import Goal
from tuner.deciding.runs import final_metric, seconds_to, trained_seconds
from tuner.records import Outcome

SMALLEST: Final = 1e-6
"""Losses and error rates are not told apart below this."""


FASTEST_PACE: Final = 1.2
SLOWEST_PACE: Final = 4.0
"""A loser of the race counts as between 1.2 and 4 times as slow as its winner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One trial, as the search sees it.

    Args:
        global_batch_size: B.
        learning_rate: Peak rate.
        kind: `complete`, `censored` (the score is a lower bound), `paced` (stopped early and
            judged by its pace), `diverged` or `infeasible`.
        score: Lower is better; of a diverged run the ln of what it cost, None where there is none.
        run: The run behind it; None of a trial that never gave a result.
    """

    global_batch_size: int
    learning_rate: float
    kind: str
    score: float | None
    run: Run | None
    seed: int | None = None


def observe(job: Job, goal: Goal, run: Run) -> Observation:
    """Score one run against the goal."""
    kind, score = _score(job, goal, run)
    return Observation(
        global_batch_size=run.request.plan.global_batch_size,
        learning_rate=run.request.learning_rate,
        kind=kind,
        score=score,
        run=run,
        seed=run.request.seed,
    )


def pace(job: Job, run: Run, winner: Run, score: float) -> Observation:
    """Judge a run that lost the race by how much slower it fell than the winner.

    rho = (time the run took to its last loss) / (time the winner took to that loss); the run
    is then expected to need rho times the winner's time. A run that never got below the
    winner's first evaluation has the slowest pace.

    Args:
        job: Whose race it was.
        run: The loser, at the winner's batch.
        winner: The reference run.
        score: The winner's score, ln of its calibrated seconds.

    Returns:
        An observation with ln(clip(rho, 1.2, 4)) added to the winner's score.
    """
    value = final_metric(run)
    metric = job.spec.objective.metric
    steps = None if value is None else curve.crossing_steps(winner.result.curve, value, metric)
    ratio = FASTEST_PACE if steps is None else run.result.steps / max(steps, 1e-9)
    if value is None:
        ratio = SLOWEST_PACE
    ratio = min(SLOWEST_PACE, max(FASTEST_PACE, ratio))
    return Observation(
        global_batch_size=run.request.plan.global_batch_size,
        learning_rate=run.request.learning_rate,
        kind="paced",
        score=score + math.log(ratio),
        run=run,
        seed=run.request.seed,
    )


def metric_score(value: float, metric: str) -> float:
    """Turn a metric into a score: ln of the loss, or of the error rate."""
    return math.log(max(SMALLEST, 1.0 - value if metric == "accuracy" else value))


def metric_of_score(score: float, metric: str) -> float:
    """Undo `metric_score`."""
    return 1.0 - math.exp(score) if metric == "accuracy" else math.exp(score)


def _score(job: Job, goal: Goal, run: Run) -> tuple[str, float | None]:
    outcome = run.result.outcome
    if outcome is Outcome.OUT_OF_MEMORY:
        return "infeasible", None
    if outcome is Outcome.DIVERGED:
        spent = trained_seconds(job, run) if goal.kind == "time" else 0.0
        return "diverged", math.log(spent) if spent > 0.0 else None
    if goal.kind == "time":
        assert goal.target is not None  # noqa: S101  (a time goal has a target)
        seconds = seconds_to(job, run, goal.target)
        if seconds is not None:
            return "complete", math.log(max(seconds, SMALLEST))
        return "censored", math.log(max(trained_seconds(job, run), SMALLEST))
    value = final_metric(run)
    if value is None:
        return "diverged", None
    ended = run.result.steps >= run.request.max_steps
    return "complete" if ended else "censored", metric_score(value, job.spec.objective.metric)
