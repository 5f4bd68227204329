"""The largest micro-batch without a prediction, found by growing it.

Peak bytes are convex and piecewise linear in the micro-batch: constant while gradients and
optimizer dominate, then steeper, then affine. So a line through small sizes promises too much.
The growth therefore steps by what is certain, and by promises only where they are near.

What is certain: at any instant of a step the live bytes are s + a m, with s at least zero and
a at most P(m) / m. Hence P(m) / m never rises, and m C / P(m) fits into C. That is a small
step while constant parts dominate and a large one once activations do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tuner.deciding.feasibility import Budget, fitting, nothing_fits, smallest_failing
from tuner.records import MemoryMeasurement

FIRST_SIZE: Final = 2
"""First size that is tried; one sample alone is asked for only if two do not fit."""

CERTAIN: Final = 0.9
"""Share of the certain step that is taken: libraries' workspaces may grow faster than m."""

CAUTION: Final = 0.7
"""Share of the way to the promise of the secant that one jump takes while it is far."""

GROWTH: Final = 4
"""The secant's promise is followed to this multiple of a size that fitted, at most."""

NEAR: Final = 1.5
"""The promise counts as near when it is within this multiple of a size that fitted."""

RESOLUTION: Final = 0.02
"""The search ends when at most this share of the size (or one sample) is still open."""

SERVED: Final = 0.985
"""Share of the limit that what the allocator holds may take."""

BACK: Final = 0.97
"""What is tried next where a near promise was just missed."""

MAX_TRIALS: Final = 16
"""Trials at most; the search ends with the largest size that ran."""


def next_size(trials: Sequence[MemoryMeasurement], budget: Budget) -> int | None:
    """Choose the next micro-batch size to run.

    Args:
        trials: What was run so far, in order.
        budget: What to keep to.

    Returns:
        A size that was not run yet, or None when the largest one is known.

    Raises:
        NoFeasibleBatch: One sample was run and did not fit.
    """
    upper, goal_bytes = budget.upper, budget.goal_bytes
    good, failing = fitting(trials, goal_bytes), smallest_failing(trials, goal_bytes)
    if not good:
        if failing == 1:
            raise nothing_fits(trials, goal_bytes)
        return min(FIRST_SIZE, upper) if failing is None else 1
    largest = good[-1].micro_batch_size
    if largest >= upper or len(trials) >= MAX_TRIALS:
        return None
    promise = _promise(good, budget)
    tolerance = max(1.0, RESOLUTION * largest)
    if failing is not None:
        return _between(largest, failing, promise, tolerance)
    if promise is not None and promise - largest < tolerance:
        return None
    reach = _reach(good, promise, goal_bytes)
    return max(largest + 1, min(int(reach), upper))


def _reach(good: Sequence[MemoryMeasurement], promise: float | None, goal_bytes: int) -> float:
    """Step as far as is certain, or along the secant where that is farther and near enough."""
    last = good[-1]
    size = last.micro_batch_size
    certain = CERTAIN * size * goal_bytes / max(1, last.live_bytes)
    if promise is None:
        return certain
    if promise <= NEAR * size:
        return promise
    cautious = min(size + CAUTION * (promise - size), float(GROWTH * size))
    return max(certain, cautious)


def _between(largest: int, failing: int, promise: float | None, tolerance: float) -> int | None:
    """Search between a size that fitted and one that did not."""
    if failing - largest <= tolerance:
        return None
    if promise is not None and largest < int(promise) < failing:
        return int(promise)
    just_missed = int(BACK * failing)
    if largest < just_missed and promise is not None:
        return just_missed
    return (largest + failing) // 2


def _promise(good: Sequence[MemoryMeasurement], budget: Budget) -> float | None:
    """Follow the line through the last two sizes to the goal; None where it says nothing.

    What the allocator holds for the live bytes of the last size counts against the limit: a
    few large tensors leave holes, and there is no trace here that would know how many.
    """
    if len(good) < 2:  # noqa: PLR2004  (a line needs two points)
        return None
    before, last = good[-2:]
    held = max(last.live_bytes, last.reserved_bytes) / max(1, last.live_bytes)
    goal = min(budget.goal_bytes, SERVED * budget.limit_bytes / held)
    slope = (_growing(last) - _growing(before)) / (last.micro_batch_size - before.micro_batch_size)
    if slope <= 0.0:
        return None
    return last.micro_batch_size + (goal - _growing(last)) / slope


def _growing(trial: MemoryMeasurement) -> int:
    """Bytes of the phases that grow with the size; the optimizer's do not."""
    return max(trial.forward_backward_bytes, trial.evaluation_bytes)
