"""Which blocks of two recordings are the same tensor at two micro-batch sizes.

Kernels are launched in the same order at every size, but libraries may take a workspace at one
and none at the other. Blocks therefore are aligned as sequences are: as few as possible stay
without a partner (Needleman and Wunsch, J. Mol. Biol. 48, 1970), within a band around the
diagonal. Two blocks may be partners if their sizes could lie on one line with an intercept
that is not negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tuner.measuring.allocating.events import AllocationEvents

BAND: Final = 64
"""How many blocks the one sequence may run ahead of the other beyond their difference."""

MOST_DIFFERENT: Final = 2000
"""Sequences whose lengths differ by more are not aligned."""

ROUNDING: Final = 0.001
"""Sizes may miss the line by this share, and by 512 bytes."""

ROUNDING_BYTES: Final = 512

_PAIR, _SKIP_LOW, _SKIP_HIGH = range(3)


def births_by_phase(events: AllocationEvents) -> list[list[int]]:
    """List the blocks that are born in each phase, in order."""
    seen: set[int] = set()
    phases = []
    for _, order in events.phases():
        born = [block for block in dict.fromkeys(order) if block not in seen]
        seen.update(born)
        phases.append(born)
    return phases


def aligned(low_bytes: Sequence[int], high_bytes: Sequence[int], ratio: float) -> list[int | None]:
    """Find each block's partner.

    Args:
        low_bytes: Sizes of the blocks at the smaller micro-batch, in the order of their births.
        high_bytes: The same at the larger one.
        ratio: The larger micro-batch over the smaller one.

    Returns:
        For each block at the larger size, the index of its partner at the smaller one.
    """
    if abs(len(low_bytes) - len(high_bytes)) > MOST_DIFFERENT:
        return [None] * len(high_bytes)
    if len(low_bytes) == len(high_bytes) and all(
        _may_be_one(low, high, ratio) for low, high in zip(low_bytes, high_bytes, strict=True)
    ):
        return list(range(len(high_bytes)))
    return _followed(_steps(low_bytes, high_bytes, ratio), len(low_bytes), len(high_bytes))


def _may_be_one(low: int, high: int, ratio: float) -> bool:
    slack = 1.0 + ROUNDING
    if low > high * slack + ROUNDING_BYTES:
        return False
    return high <= low * ratio * slack + ROUNDING_BYTES


def _steps(
    low_bytes: Sequence[int], high_bytes: Sequence[int], ratio: float
) -> list[dict[int, int]]:
    """Say for each pair of prefixes, within the band, how the best alignment of them ends."""
    width = abs(len(low_bytes) - len(high_bytes)) + BAND
    far = len(low_bytes) + len(high_bytes) + 1
    costs = {j: j for j in range(min(len(high_bytes), width) + 1)}
    steps: list[dict[int, int]] = []
    for i, low in enumerate(low_bytes, start=1):
        row: dict[int, int] = {}
        step: dict[int, int] = {}
        for j in range(max(0, i - width), min(len(high_bytes), i + width) + 1):
            cost, how = costs.get(j, far) + 1, _SKIP_LOW
            if j and row.get(j - 1, far) + 1 < cost:
                cost, how = row[j - 1] + 1, _SKIP_HIGH
            if j and costs.get(j - 1, far) <= cost and _may_be_one(low, high_bytes[j - 1], ratio):
                cost, how = costs[j - 1], _PAIR
            row[j], step[j] = cost, how
        costs = row
        steps.append(step)
    return steps


def _followed(steps: Sequence[dict[int, int]], low: int, high: int) -> list[int | None]:
    partners: list[int | None] = [None] * high
    while low and high:
        how = steps[low - 1][high]
        if how == _PAIR:
            partners[high - 1] = low - 1
        low -= how != _SKIP_HIGH
        high -= how != _SKIP_LOW
    return partners
