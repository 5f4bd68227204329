"""A predicted memory curve between the sizes that were traced, and which ones to trace.

Live bytes are convex and piecewise linear in the micro-batch (every instant of a
step holds s + a m bytes, and the peak is the greatest of them). Chords of a convex curve lie
above it, so that reading between traced sizes errs to the safe side.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Protocol

from tuner.deciding.feasibility import Budget
from tuner.records import PredictedPeak

LARGE_SIZES: Final = (64, 128)
"""Two sizes beyond the last kink of most models: they give the affine branch."""

FIRST_SHARE: Final = 0.25
"""Share of the predicted maximum that the first trial runs, and that is traced for it."""

FINE_SHARES: Final = (FIRST_SHARE, 0.7, 1.0)
"""Shares of the predicted maximum that are traced, since trials will run near them."""

ROOM: Final = 0.7
"""The bound of the search space has room where its prediction takes this share at most."""

SERVED: Final = 0.985
"""Share of the limit that what the allocator needs may take: its model is not the allocator."""

NEAR: Final = 0.1
"""A size counts as traced when one within this relative distance was."""


class Peak(Protocol):
    """Live bytes of one size, by phase: predicted or measured."""

    @property
    def micro_batch_size(self) -> int:
        """Samples per pass."""

    @property
    def forward_backward_bytes(self) -> int:
        """Peak of forward and backward passes."""

    @property
    def optimizer_bytes(self) -> int:
        """Peak of the optimizer step."""

    @property
    def evaluation_bytes(self) -> int:
        """Peak of the evaluation."""


PHASES: Final[tuple[Callable[[Peak], int], ...]] = (
    lambda peak: peak.forward_backward_bytes,
    lambda peak: peak.optimizer_bytes,
    lambda peak: peak.evaluation_bytes,
)
"""The phases that obey different laws, each fitted for itself."""


def phase_bytes(points: Sequence[Peak], phase: Callable[[Peak], int], size: float) -> float:
    """Read one phase of a predicted curve.

    Args:
        points: At least one, by size, each size once.
        phase: Which one.
        size: Micro-batch size; below the smallest traced one its bytes are given.

    Returns:
        Bytes, along the chord of the neighbours, or along the last two beyond them.
    """
    sizes = [point.micro_batch_size for point in points]
    if len(points) == 1 or size <= sizes[0]:
        return float(phase(points[0]))
    index = min(max(bisect_right(sizes, size), 1), len(points) - 1)
    before, after = points[index - 1], points[index]
    run = after.micro_batch_size - before.micro_batch_size
    slope = (phase(after) - phase(before)) / run
    return max(0.0, phase(before) + slope * (size - before.micro_batch_size))


def live_bytes(points: Sequence[Peak], size: float) -> float:
    """Read the highest peak of all phases off a predicted curve."""
    return max(phase_bytes(points, phase, size) for phase in PHASES)


def demand_bytes(points: Sequence[PredictedPeak], size: float, budget: Budget) -> float:
    """Say what a size takes of the goal, by prediction.

    Live bytes are held to the goal, and what the allocator needs for them to the limit: where
    a few large tensors leave holes, that is the harder of the two.

    Args:
        points: The predicted curve, by size.
        size: Micro-batch size.
        budget: Limit and goal.

    Returns:
        Bytes, to be compared with the goal.
    """
    return live_bytes(points, size) * stretch(points, size, budget)


def stretch(points: Sequence[PredictedPeak], size: float, budget: Budget) -> float:
    """Say by what factor live bytes are to be stretched, at least 1, before they are compared.

    Args:
        points: The predicted curve, by size.
        size: Micro-batch size.
        budget: Limit and goal.
    """
    served = SERVED * budget.limit_bytes
    return max(1.0, packing(points, size) * budget.goal_bytes / served)


def packing(points: Sequence[PredictedPeak], size: float) -> float:
    """Say how many bytes the allocator needs for one that is alive, by prediction."""
    ratios = [(p.micro_batch_size, p.needed_bytes / max(1, p.live_bytes)) for p in points]
    return _between(ratios, size)


def _between(values: Sequence[tuple[int, float]], size: float) -> float:
    """Read a value between two sizes; beyond the last ones theirs holds."""
    for (low, before), (high, after) in pairwise(values):
        if low <= size <= high:
            return before + (after - before) * (size - low) / (high - low)
    return values[0][1] if size < values[0][0] else values[-1][1]


def largest_within(bytes_at: Callable[[int], float], goal_bytes: float, upper: int) -> int:
    """Find the largest size whose bytes are within a goal.

    Args:
        bytes_at: Never falling in the size.
        goal_bytes: Bytes.
        upper: No size above this.

    Returns:
        The size; 0 if not even one sample is within the goal.
    """
    low, high = 0, upper + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bytes_at(middle) <= goal_bytes else (low, middle)
    return low


def sizes_to_trace(points: Sequence[PredictedPeak], budget: Budget) -> tuple[int, ...]:
    """Choose the sizes of the next trace.

    Args:
        points: What was traced before, by size.
        budget: What to keep to.

    Returns:
        First two large sizes; then the bound where it has room, else the solution and shares
        of it, until all were traced. Empty when there is no more to be learned.
    """
    upper, goal = budget.upper, budget.goal_bytes
    if not points:
        return tuple(sorted({min(size, upper) for size in LARGE_SIZES}))
    if demand_bytes(points, upper, budget) <= ROOM * goal:
        return () if _is_traced(points, upper) else (upper,)
    solution = max(1, largest_within(lambda m: demand_bytes(points, m, budget), goal, upper))
    wanted = {max(1, int(share * solution)) for share in FINE_SHARES}
    return tuple(size for size in sorted(wanted) if not _is_traced(points, size))


def _is_traced(points: Sequence[Peak], size: int) -> bool:
    return any(abs(point.micro_batch_size - size) <= NEAR * size for point in points)
