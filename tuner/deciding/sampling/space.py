"""Where trials may lie: batches, and rates within reach of the prior, widened at an edge."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tuner.deciding.prior import Prior
from tuner.deciding.score import Observation
from tuner.spec.space import nearest_rate

REACH: Final = math.log(8.0)
"""Rates are searched within this distance of the prior's in ln, at every batch."""

EDGE: Final = 0.25
"""The best rate lies on an edge if it is within this distance of the end of its reach, in ln."""

RATE_STEP: Final = 0.1
"""Distance of neighbouring candidates in ln rate: a tenth of a rate costs under 1 % of time."""

SAME_RATE: Final = 0.2
"""Rates closer than this in ln, at one batch, are the same trial: on one seed they run alike, so
that a second one tells nothing new, and half of it off the best rate costs 1 % of time."""

INFEASIBLE_TRIALS: Final = 2
"""Trials without a result after which a batch is left out; one may have been an accident."""

Point = tuple[int, float]
"""A global batch size and a learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What may be suggested.

    Args:
        batches: Global batch sizes, ascending.
        low: Lowest learning rate.
        high: Highest learning rate.
        rates: The only learning rates, ascending; empty where any between the ends may be.
    """

    batches: tuple[int, ...]
    low: float
    high: float
    rates: tuple[float, ...] = ()

    def clip(self, learning_rate: float) -> float:
        """Return the nearest rate inside the space, in ln."""
        return nearest_rate(learning_rate, low=self.low, high=self.high, values=self.rates)


def warm_starts(prior: Prior, space: Space) -> list[Point]:
    """Return the prior's best point of each batch, the most promising first."""
    points = [(batch, space.clip(prior.rate(batch))) for batch in space.batches]
    return sorted(
        points,
        key=lambda point: (prior.score(*point), abs(math.log2(point[0] / prior.batch)), point[0]),
    )


def reaches(prior: Prior, best: Point | None) -> tuple[float, float]:
    """Say how far below and above the prior's rate the search looks, in ln.

    Args:
        prior: Whose rates are the centres.
        best: The best point so far, or None.

    Returns:
        Both at least `REACH`, and longer by as much for each time that the best point lies on
        the edge.
    """
    below = above = REACH
    if best is not None:
        ratio = math.log(best[1] / prior.rate(best[0]))
        while ratio > above - EDGE:
            above += REACH
        while -ratio > below - EDGE:
            below += REACH
    return below, above


def narrow(prior: Prior, space: Space, best: Point | None = None) -> Space:
    """Narrow the rates to those within reach at some batch."""
    centres = [prior.rate(batch) for batch in space.batches]
    below, above = reaches(prior, best)
    low = space.clip(min(centres) * math.exp(-below))
    high = space.clip(max(centres) * math.exp(above))
    rates = tuple(rate for rate in space.rates if low <= rate <= high)
    return replace(space, low=low, high=high, rates=rates) if low < high else space


def candidates(prior: Prior, space: Space, best: Point | None = None) -> list[Point]:
    """List every batch with a fine grid of the rates within its reach, and inside the space."""
    below, above = reaches(prior, best)
    points: list[Point] = []
    for batch in space.batches:
        low = space.clip(prior.rate(batch) * math.exp(-below))
        high = space.clip(prior.rate(batch) * math.exp(above))
        points += [(batch, rate) for rate in _rates(space, low, high)]
    return points


def _rates(space: Space, low: float, high: float) -> list[float]:
    """Rates to try from one to another: the space's own, or a fine grid."""
    if space.rates:
        return [rate for rate in space.rates if low <= rate <= high]
    count = 1 + math.ceil(math.log(high / low) / RATE_STEP)
    return [space.clip(float(rate)) for rate in np.geomspace(low, high, count)]


def without_infeasible(space: Space, observations: Sequence[Observation]) -> Space:
    """Leave out batches of which two trials ran out of memory and none gave a result."""
    failed = Counter(o.global_batch_size for o in observations if o.kind == "infeasible")
    held = {o.global_batch_size for o in observations if o.kind != "infeasible"}
    kept = tuple(b for b in space.batches if b in held or failed[b] < INFEASIBLE_TRIALS)
    return replace(space, batches=kept)


def known(point: Point, tried: Sequence[Point]) -> bool:
    """Whether a point was tried already."""
    return any(
        batch == point[0] and abs(math.log(point[1] / rate)) < SAME_RATE for batch, rate in tried
    )
