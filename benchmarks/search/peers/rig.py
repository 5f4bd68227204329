"""What a peer needs of a grid: train a cell for so many seconds, and be told how it went.

Peers are treated kindly. They know the card's largest micro-batch and accumulate beyond it, so
none of them runs out of memory; how often they would have, had the whole batch been one pass,
is counted. They pay for training and evaluation, not for probing memory or timing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.search.card import Card
from benchmarks.search.draw import Draw
from benchmarks.search.grid import Cell, Grid
from benchmarks.search.trail import Advice, Trail
from tuner import curve
from tuner.records import CurvePoint, Outcome

DIVERGED_EXCESS: Final = 10.0
"""Worse than any loss: `excess` of a run that diverged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One training of one cell.

    Args:
        cell: What was trained.
        seconds: Training seconds to the target; None if it was not reached.
        trained_seconds: Training seconds in all, those before a resume included.
        charged_seconds: Device seconds of this call.
        excess: ln of the last smoothed loss over the target; large where it diverged.
        score: Lower is better: ln of the seconds of a run that reached the target; all others
            come behind the horizon, by their excess.
    """

    cell: Cell
    seconds: float | None
    trained_seconds: float
    charged_seconds: float
    excess: float
    score: float


@dataclass(slots=True, kw_only=True)
class Rig:
    """One peer at work in one repeat.

    Args:
        grid: What was recorded.
        card: What it costs.
        drawn: Seeds that may be trained on.
        horizon_seconds: Training seconds after which a run is given up.
        budget_seconds: Device seconds in all.
        rng: Whatever is drawn at random.
        spent_seconds: Device seconds so far.
        trials: Cells tried so far.
        beyond_memory: How many of them one pass would not have held.
        trail: Advice so far.
    """

    grid: Grid
    card: Card
    drawn: Draw
    horizon_seconds: float
    budget_seconds: float
    rng: np.random.Generator
    spent_seconds: float = 0.0
    trials: int = 0
    beyond_memory: int = 0
    trail: Trail = field(default_factory=Trail)

    @property
    def is_spent(self) -> bool:
        """Whether the budget is used up."""
        return self.spent_seconds >= self.budget_seconds

    def any_seed(self) -> int:
        """Draw one of the seeds that may be trained on."""
        return int(self.rng.choice(self.drawn.search))

    def any_cell(self) -> Cell:
        """Draw a batch size and, evenly on the logarithm, a rate."""
        batches, rates, _ = self.grid.shape
        return Cell(
            batch_index=int(self.rng.integers(batches)), rate_index=int(self.rng.integers(rates))
        )

    def train(
        self, cell: Cell, seed_index: int, limit_seconds: float, done_seconds: float = 0.0
    ) -> Tried:
        """Train a cell up to a limit, and be charged for what is new.

        Args:
            cell: What to train.
            seed_index: Position of the seed.
            limit_seconds: Training seconds in all after which the run is given up.
            done_seconds: Training seconds that a checkpoint has behind it.
        """
        batch = self.grid.batch(cell)
        step = self.card.step_seconds(batch)
        result = self.grid.train(
            cell,
            seed_index,
            max_steps=max(1, int(limit_seconds / step)),
            card=self.card,
            target=self.grid.target,
            done_steps=round(done_seconds / step),
        )
        self.spent_seconds += result.device_seconds
        if not done_seconds:
            self.trials += 1
            self.beyond_memory += batch > self.card.largest_micro_batch_size
        excess = self._excess(result.outcome, result.curve)
        crossed = result.crossing_steps
        seconds = None if crossed is None else crossed * step
        return Tried(
            cell=cell,
            seconds=seconds,
            trained_seconds=result.steps * step,
            charged_seconds=result.device_seconds,
            excess=excess,
            score=math.log(self.horizon_seconds) + 1.0 + max(0.0, excess)
            if seconds is None
            else math.log(seconds),
        )

    def advise(self, cell: Cell, note: str = "") -> None:
        """Put down what the peer would recommend now."""
        self.trail.steps.append(
            Advice(
                cell=cell,
                spent_seconds=self.spent_seconds,
                note=note,
                out_of_memory=self.beyond_memory,
                trials=self.trials,
            )
        )

    def _excess(self, outcome: Outcome, points: tuple[CurvePoint, ...]) -> float:
        if outcome is Outcome.DIVERGED or not points:
            return DIVERGED_EXCESS
        return math.log(curve.smoothed(points)[-1] / self.grid.target)


def best_of(tried: list[Tried]) -> Tried:
    """Return the best run so far."""
    return min(tried, key=lambda one: one.score)
