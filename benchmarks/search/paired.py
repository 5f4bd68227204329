"""Means over repeats and workloads, and the intervals of paired differences.

Workloads are few and repeats of one workload share its grid, so the bootstrap draws workloads
first and repeats within them; the two cards of a workload stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.search.grid import Floats
from benchmarks.search.rows import Row

DRAWS: Final = 4000
CONFIDENCE: Final = 0.95
CLOSE: Final = 0.05
"""Within 5 % of the oracle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and its bootstrap interval."""

    mean: float
    low: float
    high: float

    def plain(self) -> list[float]:
        """Return mean, low and high, rounded for a report."""
        return [round(value, 4) for value in (self.mean, self.low, self.high)]


def table(rows: Sequence[Row], value: Callable[[Row], float]) -> Floats:
    """Lay rows of one method and budget out by workload and repeat, cards averaged.

    Args:
        rows: Of several workloads and cards; repeats that not all workloads have do not count.
        value: What to average.

    Returns:
        Shape (workloads, repeats), workloads in alphabetical order.
    """
    workloads, repeats = sorted({row.workload for row in rows}), common_repeats(rows)
    cells: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        cells.setdefault((row.workload, row.repeat), []).append(value(row))
    return np.array([[np.mean(cells[name, one]) for one in repeats] for name in workloads])


def common_repeats(rows: Sequence[Row]) -> list[int]:
    """List the repeats that every workload of some rows has, ascending."""
    of_each: dict[str, set[int]] = {}
    for row in rows:
        of_each.setdefault(row.workload, set()).add(row.repeat)
    return sorted(set.intersection(*of_each.values()))


def shared(one: Sequence[Row], other: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Keep the rows of both whose workload, card and repeat the other one has too."""

    def place(row: Row) -> tuple[str, str, int]:
        return row.workload, row.card, row.repeat

    common = {place(row) for row in one} & {place(row) for row in other}
    mine = [row for row in one if place(row) in common]
    return mine, [row for row in other if place(row) in common]


def interval(values: Floats) -> Interval:
    """Bootstrap the mean over workloads and repeats.

    Args:
        values: Shape (workloads, repeats).
    """
    rng = np.random.default_rng(0)
    workloads, repeats = values.shape
    drawn = rng.integers(workloads, size=(DRAWS, workloads, 1))
    within = rng.integers(repeats, size=(DRAWS, workloads, repeats))
    means = values[drawn, within].mean(axis=(1, 2))
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(mean=float(values.mean()), low=float(low), high=float(high))


def regret(row: Row) -> float:
    """Regret against the oracle."""
    return row.regret


def is_close(row: Row) -> float:
    """Whether it is within 5 % of the oracle, as 0 or 1."""
    return float(row.regret <= CLOSE)
