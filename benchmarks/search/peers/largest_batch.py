"""The largest batch that fits, and the linear scaling rule from batch 32.

Two ways to the rate at 32: the default that people start from (0.1 for SGD, 1e-3 for Adam), and
one tuned there with the whole budget. The rule multiplies it by B / 32.

Source: Goyal et al. 2017, arXiv:1706.02677.
"""

from __future__ import annotations

from typing import Final

from benchmarks.search.grid import Cell, Grid
from benchmarks.search.peers.rig import Rig, Tried, best_of

BASE_BATCH: Final = 32

DEFAULT_RATES: Final = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
"""Where people start, by optimizer."""

STRIDE: Final = 3
"""Rates are tried 0.6 decades apart first, then between those."""


def default_cell(grid: Grid, optimizer: str) -> Cell:
    """Return what a user trains with who tunes nothing: batch 32 at the usual rate."""
    return grid.cell(BASE_BATCH, DEFAULT_RATES[optimizer])


def untuned(rig: Rig, optimizer: str) -> None:
    """Scale the default rate up to the largest batch; costs nothing."""
    rig.advise(_scaled(rig, DEFAULT_RATES[optimizer]))


def tuned(rig: Rig) -> None:
    """Tune the rate at batch 32 for as long as the budget lasts, then scale it."""
    base = rig.grid.cell(BASE_BATCH, 1.0).batch_index
    tried: list[Tried] = []
    while not rig.is_spent:
        for index in _coarse_to_fine(len(rig.grid.rates)):
            if rig.is_spent:
                return
            cell = Cell(batch_index=base, rate_index=index)
            tried.append(rig.train(cell, rig.any_seed(), rig.horizon_seconds))
            rig.advise(_scaled(rig, rig.grid.rate(best_of(tried).cell)))


def _scaled(rig: Rig, base_rate: float) -> Cell:
    fitting = rig.grid.batches[rig.grid.batches <= rig.card.largest_micro_batch_size]
    batch = int(fitting[-1])
    return rig.grid.cell(batch, base_rate * batch / BASE_BATCH)


def _coarse_to_fine(count: int) -> list[int]:
    """Every third index from the middle outwards, then the rest in the same manner."""
    order = sorted(range(count), key=lambda index: abs(index - count // 2))
    coarse = [index for index in order if (index - count // 2) % STRIDE == 0]
    return coarse + [index for index in order if index not in coarse]
