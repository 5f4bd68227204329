"""The search's posterior laid out on a grid of batches and rates, for people to look at."""

from __future__ import annotations

import math
from typing import Final

from tuner.deciding.job import Job
from tuner.deciding.search import belief_of, observations, space_of
from tuner.surface import Surface

RATES: Final = 33
"""Learning rates of the grid, where any between the ends may be tried."""

MOST_BATCHES: Final = 24
"""Batches of the grid at most; of more, evenly spaced ones are taken."""

DIGITS: Final = 5
"""Significant digits that are kept: a map is looked at, not calculated with."""


def surface_of(job: Job) -> Surface | None:
    """Lay out what the trials so far lead one to expect.

    Args:
        job: A tuning, in any stage.

    Returns:
        Mean and standard deviation of the score over the job's batches and rates; None before
        there is a plan, and where nothing is trained.
    """
    plan = job.findings.plan
    if plan is None or plan.goal is None or job.findings.timing is None:
        return None
    seen = observations(job, plan.goal)
    belief = belief_of(job, plan.goal, seen)
    space = space_of(job)
    batches = _thinned(space.batches)
    rates = space.rates or _spaced(space.low, space.high)
    means, deviations = belief.scores([(batch, rate) for batch in batches for rate in rates])
    width = len(rates)
    return Surface(
        batch_sizes=batches,
        learning_rates=tuple(_rounded(rate) for rate in rates),
        means=_rows(means.tolist(), width),
        deviations=_rows(deviations.tolist(), width),
        goal=plan.goal.kind,
        trials=len(seen),
    )


def _spaced(low: float, high: float) -> tuple[float, ...]:
    """Rates evenly spaced in ln, both ends included."""
    step = math.log(high / low) / (RATES - 1)
    return tuple(low * math.exp(step * index) for index in range(RATES))


def _thinned(batches: tuple[int, ...]) -> tuple[int, ...]:
    """Keep the first, the last and evenly spaced ones between."""
    if len(batches) <= MOST_BATCHES:
        return batches
    last = len(batches) - 1
    kept = {round(index * last / (MOST_BATCHES - 1)) for index in range(MOST_BATCHES)}
    return tuple(batches[index] for index in sorted(kept))


def _rows(values: list[float], width: int) -> tuple[tuple[float, ...], ...]:
    rounded = [_rounded(value) for value in values]
    return tuple(tuple(rounded[at : at + width]) for at in range(0, len(rounded), width))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
