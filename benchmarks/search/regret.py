"""What a recommendation is worth: its time on seeds that nobody has seen, against the oracle's.

Time is the geometric mean over the scoring seeds of calibrated seconds to the target,
evaluations left out. A run that missed or diverged counts as `MISS` times the time of the best
cell of the whole grid, and so does a slower one: beyond that it is a miss for anyone.

The oracle is the cell with the least such time on the four search seeds. It is judged on the
scoring seeds like everybody else, so a regret may be below zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.search.card import Card
from benchmarks.search.draw import Draw
from benchmarks.search.grid import Cell, Floats, Grid

MISS: Final = 6.0
"""Twice the recorder's cap of three times the best: what a miss counts, in best times."""

GRID_LIMITS: Final = {"3x": 3.0, "4/3x": 4.0 / 3.0}
"""Where an exhaustive search would cut its runs, in reference times: the research's own
definition, and that of AlgoPerf (Dahl et al. 2023, arXiv:2306.07179)."""

REFERENCE_BATCH: Final = 64
"""The reference time is that of the best rate at this batch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """Times of all cells in one repeat, and the oracle.

    Args:
        log_seconds: ln of seconds to the target by cell and seed, misses put in, shape
            (nB, nR, nS).
        searched: Mean of it over the search seeds, shape (nB, nR).
        scored: Mean of it over the scoring seeds, shape (nB, nR).
        oracle: The best cell on the search seeds.
        oracle_seconds: Its geometric-mean seconds on the search seeds: one oracle-run.
        reference_seconds: That of the best rate at the reference batch, on the search seeds.
    """

    log_seconds: Floats
    searched: Floats
    scored: Floats
    oracle: Cell
    oracle_seconds: float
    reference_seconds: float

    def regret(self, cell: Cell) -> float:
        """Time of a cell over the oracle's, less one, on the scoring seeds."""
        mine = self.scored[cell.batch_index, cell.rate_index]
        its = self.scored[self.oracle.batch_index, self.oracle.rate_index]
        return float(np.exp(mine - its) - 1.0)

    def regret_to_best(self, cell: Cell) -> float:
        """The same against the cell that is best on the scoring seeds themselves."""
        mine = self.scored[cell.batch_index, cell.rate_index]
        return float(np.exp(mine - self.scored.min()) - 1.0)

    def rate_regret(self, cell: Cell) -> float:
        """The same against the rate that the search seeds name best at the cell's own batch."""
        row = self.scored[cell.batch_index]
        best = row[int(self.searched[cell.batch_index].argmin())]
        return float(np.exp(row[cell.rate_index] - best) - 1.0)


def judge(grid: Grid, card: Card, drawn: Draw) -> Judge:
    """Work out who is right in one repeat.

    Args:
        grid: What was recorded.
        card: What steps cost.
        drawn: Which seeds search and which score.
    """
    seconds = all_seconds(grid, card)
    log_seconds = np.log(np.minimum(seconds, miss_seconds(seconds)))
    searched = log_seconds[:, :, drawn.search].mean(axis=2)
    oracle = best_cell(searched)
    reference = int(np.argmin(np.abs(np.log(grid.batches / REFERENCE_BATCH))))
    return Judge(
        log_seconds=log_seconds,
        searched=searched,
        scored=log_seconds[:, :, drawn.scoring].mean(axis=2),
        oracle=oracle,
        oracle_seconds=float(np.exp(searched.min())),
        reference_seconds=float(np.exp(searched[reference].min())),
    )


def all_seconds(grid: Grid, card: Card) -> Floats:
    """Seconds to the target by batch, rate and seed; infinite where a run missed."""
    steps = np.array([card.step_seconds(int(batch)) for batch in grid.batches])
    seconds: Floats = grid.crossings * steps[:, None, None]
    return seconds


def miss_seconds(seconds: Floats) -> float:
    """What a miss counts: `MISS` times the best cell's median over all seeds."""
    return MISS * float(np.median(seconds, axis=2).min())


def best_cell(table: Floats) -> Cell:
    """Return the cell with the least value of a table by batch and rate."""
    batch_index, rate_index = np.unravel_index(int(table.argmin()), table.shape)
    return Cell(batch_index=int(batch_index), rate_index=int(rate_index))


def grid_seconds(grid: Grid, card: Card, drawn: Draw, limit_seconds: float) -> float:
    """What an exhaustive search would cost: every cell once, cut at a limit.

    Args:
        grid: What was recorded.
        card: What steps cost.
        drawn: The cost is the mean over its search seeds.
        limit_seconds: Training seconds at which a run is given up.

    Returns:
        Device seconds, evaluations left out; a diverged run costs until it diverged.
    """
    steps = np.array([card.step_seconds(int(batch)) for batch in grid.batches])[:, None, None]
    ended = np.where(grid.diverged >= 0, grid.diverged * steps, np.inf)
    cost = np.minimum(np.minimum(all_seconds(grid, card), ended), limit_seconds)
    return float(cost[:, :, drawn.search].sum(axis=(0, 1)).mean())
