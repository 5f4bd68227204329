"""What physics says about ln T over (B, learning rate), before a trial is spent.

    S(B)      = S0 (1 + Bc/B) / (1 + Bc/B0)                    steps, rate retuned at every B
    rate*(B)  = rate0 ((1 + Bc/B0) / (1 + Bc/B))^a             a = 1 for SGD, 1/2 for Adam
    h(r)      = -ln(2r - r^2) for r <= 1, (ln r)^2 above       r = rate / rate*(B), at most 3
    ln T      = ln S(B) + ln tau(B) + h(r)

2r - r^2 is the gain of one step of gradient descent on a quadratic, relative to the best; the
branch above 1 is a choice.

None of Bc, a and rate0 is known: each has an interval, and `Prior.laws` spans them by
Gauss-Hermite quadrature. What the laws agree on is the prior mean; how they differ is the
prior covariance, by which a trial at one batch says something of the rates at another.

Sources: McCandlish et al. 2018, arXiv:1812.06162 (S); Goyal et al. 2017, arXiv:1706.02677
(linear scaling); Malladi et al. 2022, arXiv:2205.10287 (square root, Adam).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tuner.deciding.job import Job
from tuner.deciding.noise import NoiseScale
from tuner.deciding.plan import Goal
from tuner.deciding.runs import throughput_of

EXPONENTS: Final = {"sgd": 1.0, "adam": 0.5, "adamw": 0.5, "rmsprop": 0.5}
"""How the best rate grows with the batch, below the critical one."""

EXPONENT_DEVIATIONS: Final = {"sgd": 0.25, "adam": 0.2, "adamw": 0.2, "rmsprop": 0.2}
"""Standard deviation of that exponent; end-to-end exponents of 0.47 to 0.85 (SGD) and 0.38 to
0.57 (Adam) were measured, flattening at large batches."""

RATE_DEVIATION: Final = 0.3
"""Standard deviation of ln rate0: the best rate lies anywhere between the race's, which are about
one unit apart: 1 / sqrt(12)."""

UNRESOLVED_CRITICAL_BATCH: Final = 64.0
"""Stands in for an unresolved noise scale: a guess that trials correct."""

UNRESOLVED_DEVIATION: Final = math.log(4.0)
"""Standard deviation of the logarithm of that guess."""

CRITICAL_DEVIATION: Final = math.log(3.0)
"""Standard deviation of ln Bc about a noise scale that is known exactly. On one small workload
the noise scale of the race ranged from 48 to 858 between seeds and rates."""

WORST: Final = 3.0
"""Upper bound of the rate penalty, in units of ln T."""

NODES: Final = 5
"""Quadrature nodes for each unknown."""

NORMAL_QUANTILE: Final = 1.96
"""Half-width of a 95 % interval, in standard deviations."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """The prior of a score over (B, rate); lower is better.

    Args:
        batch: B0, global batch of the reference.
        learning_rate: rate0, its learning rate.
        steps: S0, its steps to the target; None for a metric goal, whose prior is flat in B.
        critical_batch_size: Bc, in samples.
        exponent: a.
        step_seconds: tau(B) by global batch.
        critical_deviation: Standard deviation of ln Bc.
        exponent_deviation: Standard deviation of a.
        rate_deviation: Standard deviation of the logarithm of the best rate at B0.
    """

    batch: int
    learning_rate: float
    steps: float | None
    critical_batch_size: float
    exponent: float
    step_seconds: Mapping[int, float]
    critical_deviation: float = CRITICAL_DEVIATION
    exponent_deviation: float = 0.0
    rate_deviation: float = RATE_DEVIATION

    def rate(self, batch: int) -> float:
        """Return rate*(B), the centre of the search at a batch; never the answer."""
        ratio = (1.0 + self.critical_batch_size / self.batch) / (
            1.0 + self.critical_batch_size / batch
        )
        return float(self.learning_rate * ratio**self.exponent)

    def score(self, batch: int, learning_rate: float) -> float:
        """Return the score by the likeliest law: ln of calibrated seconds, or a rate penalty."""
        penalty = rate_penalty(learning_rate / self.rate(batch))
        if self.steps is None:
            return penalty / WORST
        growth = (1.0 + self.critical_batch_size / batch) / (
            1.0 + self.critical_batch_size / self.batch
        )
        return math.log(self.steps * growth * self.step_seconds[batch]) + penalty

    def laws(self, batches: Floats, learning_rates: Floats) -> tuple[Floats, Floats]:
        """Score points by every law that the intervals allow.

        S0 was measured at rate0, wherever the best rate lies, so every law gives the same
        score there: a reference that was slow because of its rate is no slow workload.

        Args:
            batches: Global batch sizes, shape (points,); each one timed.
            learning_rates: Rates, shape (points,).

        Returns:
            Weights, shape (laws,), summing to one, and scores, shape (laws, points).
        """
        nodes, weights = _quadrature()
        rate0 = math.log(self.learning_rate) + self.rate_deviation * nodes[:, :1]
        critical = self.critical_batch_size * np.exp(self.critical_deviation * nodes[:, 1:2])
        exponent = self.exponent + self.exponent_deviation * nodes[:, 2:]
        growth = np.log1p(critical / batches) - np.log1p(critical / self.batch)
        penalty = rate_penalties(np.log(learning_rates) - (rate0 - exponent * growth))
        if self.steps is None:
            return weights, penalty / WORST
        at_reference = rate_penalties(math.log(self.learning_rate) - rate0)
        seconds = np.array([self.step_seconds[int(batch)] for batch in batches])
        return weights, np.log(self.steps * seconds) + growth + penalty - at_reference


def rate_penalty(ratio: float) -> float:
    """Return h(r): what a rate that is `ratio` times the best one costs in ln T."""
    if ratio <= 0.0:
        return WORST
    if ratio <= 1.0:
        return min(WORST, -math.log(max(2.0 * ratio - ratio**2, 1e-12)))
    return min(WORST, math.log(ratio) ** 2)


def rate_penalties(log_ratios: Floats) -> Floats:
    """Return h(r) of many rates, given ln r."""
    ratios = np.exp(np.minimum(log_ratios, 0.0))
    below = -np.log(np.maximum(2.0 * ratios - ratios**2, 1e-12))
    penalties = np.where(log_ratios <= 0.0, below, log_ratios**2)
    return np.minimum(penalties, WORST)


def prior_of(job: Job, goal: Goal) -> Prior:
    """Build the prior of a job from its race."""
    race = job.findings.race
    assert race is not None  # noqa: S101  (stages run in order)
    assert race.learning_rate is not None  # noqa: S101  (a goal needs a race)
    critical, deviation = critical_batch(race.noise)
    optimizer = job.spec.training.optimizer.kind
    return Prior(
        batch=race.batch,
        learning_rate=race.learning_rate,
        steps=race.reference_steps if goal.kind == "time" else None,
        critical_batch_size=critical,
        exponent=EXPONENTS[optimizer],
        step_seconds=throughput_of(job).step_seconds,
        critical_deviation=deviation,
        exponent_deviation=EXPONENT_DEVIATIONS[optimizer],
    )


def critical_batch(noise: NoiseScale | None) -> tuple[float, float]:
    """Weigh a measured noise scale against what is usual, each by its uncertainty.

    A race is short, and its estimate scatters: taken at its word it would send the search to
    batches a few times too large.

    Args:
        noise: What was measured; None where nothing was.

    Returns:
        The critical batch size, in samples, and the standard deviation of its logarithm.
    """
    usual = math.log(UNRESOLVED_CRITICAL_BATCH)
    if noise is None or noise.estimate is None:
        return UNRESOLVED_CRITICAL_BATCH, UNRESOLVED_DEVIATION
    measured = UNRESOLVED_DEVIATION
    if noise.low and noise.high:
        measured = math.log(noise.high / noise.low) / (2.0 * NORMAL_QUANTILE)
    known = 1.0 / (measured**2 + CRITICAL_DEVIATION**2)
    before = 1.0 / UNRESOLVED_DEVIATION**2
    centre = (known * math.log(noise.estimate) + before * usual) / (known + before)
    return math.exp(centre), 1.0 / math.sqrt(known + before)


def _quadrature() -> tuple[Floats, Floats]:
    """Nodes (laws, 3) in standard deviations of rate0, Bc and a, and their weights (laws,)."""
    points, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    nodes = np.array(list(itertools.product(points, repeat=3)))
    products = np.array([math.prod(one) for one in itertools.product(weights, repeat=3)])
    return nodes, products
