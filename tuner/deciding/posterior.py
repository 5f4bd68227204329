"""The posterior of the score over (B, learning rate): the prior, corrected by trials.

A Gaussian process on the residual score - prior, over x = log2 B and u = ln(rate / rate*(B)).
Its scales are fixed, not fitted: a dozen noisy trials cannot tell them. Censored trials enter
at their expectation given that they take longer, diverged ones at a stated penalty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from tuner.deciding.prior import Prior
from tuner.deciding.score import Observation

BATCH_LENGTH: Final = 1.2
"""Octaves of B over which residuals are alike."""

RATE_LENGTH: Final = 0.8
"""Units of ln rate over which residuals are alike."""

AMPLITUDE: Final = 0.45
"""Standard deviation of the residual, in units of ln T."""

NOISE: Final = 0.10
"""Standard deviation between seeds, in units of ln T."""

DIVERGED_PENALTY: Final = 1.5
"""A diverged trial counts as this much worse than the worst that was seen."""

MOST_BEYOND: Final = 1.5
"""A censored trial counts as at most this much beyond where it was cut."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """Expected score and its uncertainty anywhere in the search space."""

    prior: Prior
    process: GaussianProcessRegressor | None
    offset: float

    def score(self, batch: int, learning_rate: float) -> tuple[float, float]:
        """Return mean and standard deviation of the score at a point."""
        mean = self.prior.score(batch, learning_rate) + self.offset
        if self.process is None:
            return mean, AMPLITUDE
        point = np.array([_coordinates(self.prior, batch, learning_rate)])
        residual, deviation = self.process.predict(point, return_std=True)
        return mean + float(residual[0]), float(deviation[0])


def fit(prior: Prior, observations: Sequence[Observation]) -> Posterior:
    """Condition the prior on trials.

    Args:
        prior: Where the score is expected to lie.
        observations: Trials; infeasible ones are left out.

    Returns:
        The posterior. A flat prior's level is the mean of the completed trials.
    """
    values = impute(prior, observations)
    if not values:
        return Posterior(prior, None, 0.0)
    known = [one for one in observations if one.kind == "complete"]
    offset = 0.0
    if prior.steps is None and known:
        offset = float(
            np.median([v for o, v in values if o.kind == "complete"])
            - np.median([prior.score(o.global_batch_size, o.learning_rate) for o in known])
        )
    points = np.array(
        [_coordinates(prior, o.global_batch_size, o.learning_rate) for o, _ in values]
    )
    residuals = np.array(
        [v - offset - prior.score(o.global_batch_size, o.learning_rate) for o, v in values]
    )
    kernel = ConstantKernel(AMPLITUDE**2) * RBF([BATCH_LENGTH, RATE_LENGTH])
    process = GaussianProcessRegressor(kernel, alpha=NOISE**2, optimizer=None)
    process.fit(points, residuals)
    return Posterior(prior, process, offset)


def impute(prior: Prior, observations: Sequence[Observation]) -> list[tuple[Observation, float]]:
    """Give every feasible trial a value: measured, expected beyond its cut, or penalised."""
    told = [one for one in observations if one.kind != "diverged"]
    scores = [one.score for one in told if one.score is not None]
    worst = max(scores, default=0.0)
    values = []
    for one in observations:
        if one.kind in {"complete", "paced"} and one.score is not None:
            values.append((one, one.score))
        elif one.kind == "censored" and one.score is not None:
            mean = prior.score(one.global_batch_size, one.learning_rate)
            mean = mean if prior.steps is not None else one.score
            values.append((one, beyond(one.score, mean, AMPLITUDE)))
        elif one.kind == "diverged":
            values.append((one, worst + DIVERGED_PENALTY))
    return values


def beyond(cut: float, mean: float, deviation: float) -> float:
    """Return E[Y | Y > cut] of a normal variable, at most `MOST_BEYOND` past the cut."""
    z = (cut - mean) / deviation
    expected = mean + deviation * math.exp(stats.norm.logpdf(z) - stats.norm.logsf(z))
    return min(max(expected, cut), cut + MOST_BEYOND)


def _coordinates(prior: Prior, batch: int, learning_rate: float) -> tuple[float, float]:
    return math.log2(batch), math.log(learning_rate / prior.rate(batch))
