"""The beginnings of recorded runs: what the laws say of each, and how it went on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from benchmarks.search.card import Card
from benchmarks.search.curve_laws import (
    FEWEST,
    TAILS,
    Floats,
    Reference,
    Seen,
    exponential,
    pace,
    pace_followed,
    power_law,
)
from benchmarks.search.grid import Cell, Grid
from benchmarks.search.regret import all_seconds, best_cell, miss_seconds

SHARES: Final = (0.25, 0.4, 0.5, 0.7)
"""How much of a run is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """One run, seen in part.

    Args:
        workload: Name of the grid.
        share: How much was seen, of the incumbent's time or of the run's own.
        ratio: Seconds until then over the incumbent's time to the target.
        truth: ln(steps to the target / steps seen); infinite where the recording ends before.
        raw: What each law says of it.
    """

    workload: str
    share: float
    ratio: float
    truth: float
    raw: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """All runs of a grid on one card, and the best of them on each seed.

    Args:
        grid: What was recorded.
        card: What steps cost.
    """

    grid: Grid
    card: Card

    @cached_property
    def seconds(self) -> Floats:
        """To the target, shape (nB, nR, nS); infinite where a run missed."""
        return all_seconds(self.grid, self.card)

    @cached_property
    def log_mean(self) -> Floats:
        """Mean ln seconds of each cell over the seeds, misses put in, shape (nB, nR)."""
        found = np.log(np.minimum(self.seconds, miss_seconds(self.seconds))).mean(axis=2)
        return np.asarray(found, dtype=np.float64)

    @cached_property
    def incumbent(self) -> Cell:
        """The best cell over all seeds."""
        return best_cell(self.log_mean)

    def reference(self, cell: Cell, seed_index: int) -> Reference | None:
        """Return a run to compare others with; None if it missed the target."""
        crossing = self.grid.crossings[cell.batch_index, cell.rate_index, seed_index]
        if not np.isfinite(crossing):
            return None
        return Reference(seen=self.seen(cell, seed_index), crossing=float(crossing))

    def seen(self, cell: Cell, seed_index: int) -> Seen:
        """Return all of a run."""
        points = self.grid.recorded(cell, seed_index)
        return Seen.of(points, float(self.grid.meta["initial_loss"]))

    def best_of_batch(self, batch_index: int) -> Cell:
        """The best rate of a batch over all seeds."""
        return Cell(batch_index=batch_index, rate_index=int(self.log_mean[batch_index].argmin()))


def raw_of(
    seen: Seen, target: float, incumbent: Reference, same_batch: Reference | None
) -> dict[str, float]:
    """What every law says of a beginning; none where too little was seen.

    Where no run of the batch has come to the target, the incumbent stands in for it.
    """
    if len(seen.steps) < FEWEST:
        return {}
    raw = {"pace": pace(seen, incumbent)}
    for tail in TAILS:
        raw[f"power law {tail}"] = power_law(seen, target, tail)
        raw[f"exponential {tail}"] = exponential(seen, target, tail)
        raw[f"pace followed {tail}"] = pace_followed(seen, incumbent, tail)
    raw["pace at the batch"] = pace(seen, same_batch or incumbent)
    return raw


def beginnings(runs: Runs, *, of_own_time: bool = False) -> Iterator[Beginning]:
    """Look at every run of a grid at each share of the incumbent's time.

    Args:
        runs: The grid on a card.
        of_own_time: Whether shares are of the run's own time instead: nothing may then be fitted,
            since the truth follows from the share.
    """
    for seed_index in range(len(runs.grid.seeds)):
        incumbent = runs.reference(runs.incumbent, seed_index)
        if incumbent is None:
            continue
        time = runs.seconds[runs.incumbent.batch_index, runs.incumbent.rate_index, seed_index]
        for batch_index, rate_index in np.ndindex(*runs.grid.shape[:2]):
            cell = Cell(batch_index=batch_index, rate_index=rate_index)
            if (
                cell != runs.incumbent
                and runs.grid.diverged[batch_index, rate_index, seed_index] < 0
            ):
                yield from _of_run(
                    runs, cell, seed_index, incumbent, float(time), of_own=of_own_time
                )


def _of_run(
    runs: Runs,
    cell: Cell,
    seed_index: int,
    incumbent: Reference,
    incumbent_seconds: float,
    *,
    of_own: bool,
) -> Iterator[Beginning]:
    best = runs.best_of_batch(cell.batch_index)
    same = None if best == cell else runs.reference(best, seed_index)
    one = runs.card.step_seconds(runs.grid.batch(cell))
    crossing = float(runs.grid.crossings[cell.batch_index, cell.rate_index, seed_index])
    whole = runs.seen(cell, seed_index)
    if not len(whole.steps) or (of_own and not np.isfinite(crossing)):
        return
    for share in SHARES:
        seen = whole.until(share * (crossing if of_own else incumbent_seconds / one))
        raw = raw_of(seen, runs.grid.target, incumbent, same)
        if raw and seen.steps[-1] < crossing:
            now = float(seen.steps[-1])
            yield Beginning(
                workload=runs.grid.name,
                share=share,
                ratio=now * one / incumbent_seconds,
                truth=float(np.log(crossing / now)),
                raw=raw,
            )


def columns(found: Sequence[Beginning]) -> dict[str, Floats]:
    """Raw predictions by law, each of shape (beginnings,)."""
    return {law: np.array([one.raw[law] for one in found]) for law in found[0].raw}
