"""The largest micro-batch from a prediction, calibrated and confirmed by about three trials.

A trace knows the shape of the memory curve but not what the device adds: workspaces of
libraries, rounding, other kernels. So a trial at a quarter of the predicted maximum gives the
ratio, one at 0.8 of the corrected maximum the line `real = alpha + beta * predicted`, and one
at its solution confirms it. Phases are fitted apart and the highest one counts: forward and
backward passes grow with the size, the optimizer step hardly does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tuner.deciding.feasibility import (
    Budget,
    fitting,
    nothing_fits,
    ran_freely,
    smallest_failing,
)
from tuner.deciding.predicted import (
    FIRST_SHARE,
    PHASES,
    ROOM,
    Peak,
    demand_bytes,
    largest_within,
    phase_bytes,
    stretch,
)
from tuner.records import MemoryMeasurement, PredictedPeak

SECOND_SHARE: Final = 0.8
"""Share of the ratio-corrected maximum that the second trial runs."""

CALIBRATED_ROOM: Final = 0.9
"""The bound of the search space is run next where its corrected bytes take this share at most."""

BACK: Final = 0.97
"""What is tried after a solution that did not fit."""

WORTH_TRYING: Final = 0.02
"""A solution this much above the largest size that fitted is worth a trial."""

MAX_TRIALS: Final = 4
"""Trials at most, where the prediction holds up."""

MAX_TRIALS_AFTER_SURPRISE: Final = 6
"""Trials at most, where two of them did not fit: the prediction was wrong in kind."""

AIM: Final = 0.998
"""Share of the goal that a solution aims at, so that a fit's last digits cost no trial."""

SAME: Final = 0.01
"""Predictions that differ by less than this share say nothing of a slope."""

SLOPES: Final = (0.5, 4.0)
"""Real bytes per predicted byte that are believed."""


@dataclass(frozen=True, slots=True)
class Line:
    """`real = alpha + beta * predicted`, the higher of two where one trial leaves it open.

    Args:
        predicted_bytes: At the trial it goes through.
        measured_bytes: At the same.
        slopes: Real bytes per predicted byte, one or two candidates.
    """

    predicted_bytes: float
    measured_bytes: float
    slopes: tuple[float, ...]

    def __call__(self, predicted_bytes: float) -> float:
        """Correct a prediction."""
        further = predicted_bytes - self.predicted_bytes
        steepest = max if further >= 0.0 else min
        return self.measured_bytes + steepest(self.slopes) * further


def next_size(
    points: Sequence[PredictedPeak], trials: Sequence[MemoryMeasurement], budget: Budget
) -> int | None:
    """Choose the next micro-batch size to run.

    Args:
        points: The predicted curve, by size, each size once.
        trials: What was run so far, in order.
        budget: What to keep to.

    Returns:
        A size that was not run yet, or None when the search is over.

    Raises:
        NoFeasibleBatch: One sample was run and did not fit.
    """
    good = fitting(trials, budget.goal_bytes)
    failing = smallest_failing(trials, budget.goal_bytes)
    if not good:
        return _first(points, trials, failing, budget)
    largest = good[-1].micro_batch_size
    if largest >= budget.upper or len(trials) >= _most_trials(trials, good):
        return None
    solution = solved(points, trials, budget)
    if failing is not None:
        return _after_failure(trials, good, failing, solution)
    demand = corrected(points, trials, budget)
    if len(good) == 1 and demand(budget.upper) > CALIBRATED_ROOM * budget.goal_bytes:
        careful = int(SECOND_SHARE * solution)
        return careful if careful > largest else _worth(largest, solution)
    return _worth(largest, solution)


def solved(
    points: Sequence[PredictedPeak], trials: Sequence[MemoryMeasurement], budget: Budget
) -> int:
    """Solve the corrected curve for the largest size, below any that failed."""
    failing = smallest_failing(trials, budget.goal_bytes)
    below = budget.upper if failing is None else min(budget.upper, failing - 1)
    return largest_within(corrected(points, trials, budget), AIM * budget.goal_bytes, below)


def corrected(
    points: Sequence[PredictedPeak], trials: Sequence[MemoryMeasurement], budget: Budget
) -> Callable[[int], float]:
    """Correct a predicted curve by what was measured.

    Args:
        points: The predicted curve, by size.
        trials: What was run; at least one of it freely.
        budget: Limit and goal.

    Returns:
        From a size to what it takes of the goal: the bytes of its highest phase, stretched by
        what the allocator needs for them. Tensors that are larger on the device by some factor
        are packed as those of a size that is larger by it.
    """
    ran = sorted(filter(ran_freely, trials), key=lambda trial: trial.micro_batch_size)
    lines = [(phase, _line(points, phase, ran)) for phase in PHASES]

    scale = max(lines[0][1].slopes)

    def demand(size: int) -> float:
        live = max(line(phase_bytes(points, phase, size)) for phase, line in lines)
        return live * stretch(points, scale * size, budget)

    return demand


def _line(
    points: Sequence[Peak],
    phase: Callable[[Peak], int],
    ran: Sequence[MemoryMeasurement],
) -> Line:
    """Fit one phase through its last two trials, or guard against the worse of two guesses."""
    seen = [(phase_bytes(points, phase, t.micro_batch_size), float(phase(t))) for t in ran]
    predicted, measured = seen[-1]
    for other, other_measured in reversed(seen[:-1]):
        if predicted - other > SAME * predicted:
            slope = (measured - other_measured) / (predicted - other)
            return Line(predicted, measured, (min(max(slope, SLOPES[0]), SLOPES[1]),))
    highest = max(measured for _, measured in seen)
    return Line(predicted, highest, (1.0, highest / max(1.0, predicted)))


def _first(
    points: Sequence[PredictedPeak],
    trials: Sequence[MemoryMeasurement],
    failing: int | None,
    budget: Budget,
) -> int:
    """Run the bound if it has room, else a quarter of what is promised, until one fits."""
    goal = budget.goal_bytes
    if failing == 1:
        raise nothing_fits(trials, goal)
    if failing is None and demand_bytes(points, budget.upper, budget) <= ROOM * goal:
        return budget.upper
    below = budget.upper if failing is None else failing - 1
    solution = largest_within(lambda m: demand_bytes(points, m, budget), goal, below)
    return max(1, int(FIRST_SHARE * solution))


def _after_failure(
    trials: Sequence[MemoryMeasurement],
    good: Sequence[MemoryMeasurement],
    failing: int,
    solution: int,
) -> int | None:
    """Step back a little from a solution that failed, or halve the gap that one trial left.

    A size that ran freely and only took too much has told how much: its own solution holds.
    """
    largest = good[-1].micro_batch_size
    if len(good) == 1 and failing - largest > max(1.0, (1.0 - SECOND_SHARE) * failing):
        return (largest + failing) // 2
    told = any(ran_freely(trial) for trial in trials if trial.micro_batch_size == failing)
    size = solution if told else min(solution, int(BACK * failing))
    return size if size > largest else None


def _worth(largest: int, solution: int) -> int | None:
    gain = solution - largest
    return solution if gain >= max(1.0, WORTH_TRYING * largest) else None


def _most_trials(trials: Sequence[MemoryMeasurement], good: Sequence[MemoryMeasurement]) -> int:
    surprised = len(trials) - len(good) > 1
    return MAX_TRIALS_AFTER_SURPRISE if surprised else MAX_TRIALS
