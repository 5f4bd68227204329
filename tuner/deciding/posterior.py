"""The posterior of the score over (B, learning rate): the prior, corrected by trials.

A Gaussian process on the residual score - prior. Its covariance has two parts: how the laws of
the prior differ (`Prior.laws`), which reaches over all batches, and a local one over x = log2 B
and u = ln(rate / rate*(B)), for what no law foresees. The scales are fixed, not fitted: a dozen
noisy trials cannot tell them.

A censored trial enters with E[Y | Y > cut] and the variance that it has given Y > cut, under
what all the other trials say of it: a cut where nothing better was expected says little, one
where a good time was expected says much. That is expectation propagation with one-sided limits.

Sources: Hutter et al. 2013, arXiv:1310.1947 (censored times in Bayesian optimization);
Rasmussen and Williams 2006, sections 3.6 (expectation propagation) and 5.4.2 (leave-one-out).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats
from sklearn.gaussian_process import GaussianProcessRegressor

from tuner.deciding.kernel import NO_SEED, PriorKernel
from tuner.deciding.prior import Floats, Prior
from tuner.deciding.score import Observation

NOISE: Final = 0.10
"""Standard deviation of one trial about its expectation, in units of ln T. All trials share a
seed, and log-times of two cells on one seed correlate by 0.57 to 0.83, so that this is less than
the 0.08 to 0.24 between seeds."""

PACE_NOISE: Final = 0.6
"""The same of a run that was judged by its pace alone, after a fraction of its length."""

DIVERGED_NOISE: Final = 0.5
"""The same of the penalty of a diverged run."""

DIVERGED_PENALTY: Final = 1.5
"""A diverged trial counts as this much worse than the worst that was seen."""

MOST_BEYOND: Final = 1.5
"""A censored trial counts as at most this much beyond where it was cut."""

SWEEPS: Final = 30
"""Sweeps over the censored trials at most."""

STEP: Final = 0.7
"""Share of the way that a sweep goes: all trials move at once, and full steps may swing."""

SETTLED: Final = 1e-3
"""Values that move by less than this have settled."""

LEAST_SHARE: Final = 1e-3
"""Share of its variance that a trial keeps at least, however far beyond expectation it was cut."""

NOTHING: Final = 1e-4
"""Precision of a limit that says nothing."""

MOST_OBSERVATIONS: Final = 256
"""Trials that are fitted at most, the best ones: the work grows with their cube."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the process was told of one trial.

    Args:
        observation: The trial.
        expected: Its score: measured, expected beyond its cut, or penalised.
    """

    observation: Observation
    expected: float


@dataclass(frozen=True, slots=True)
class Posterior:
    """Expected score and its uncertainty anywhere in the search space.

    Args:
        prior: Where the score was expected to lie.
        process: On the residual; None where there is no trial.
        offset: Level of a prior that has none of its own.
        told: What each feasible trial counted as.
    """

    prior: Prior
    process: GaussianProcessRegressor | None
    offset: float
    told: tuple[Told, ...] = ()

    def score(self, batch: int, learning_rate: float) -> tuple[float, float]:
        """Return mean and standard deviation of the score at a point."""
        means, deviations = self.scores([(batch, learning_rate)])
        return float(means[0]), float(deviations[0])

    def scores(self, points: Sequence[tuple[int, float]]) -> tuple[Floats, Floats]:
        """Return means and standard deviations of the score, both of shape (points,).

        The deviation is that of the expected score, without the noise of another trial.
        """
        means, inputs = _inputs(self.prior, points)
        process = self.process
        if process is None:
            return means + self.offset, np.sqrt(PriorKernel().diag(inputs))
        residuals, deviations = process.predict(inputs, return_std=True)
        return means + self.offset + residuals, deviations

    @property
    def best(self) -> tuple[int, float] | None:
        """The trial that ran to its end and is expected to score least; None if none did.

        It is the posterior's best, not the luckiest run.
        """
        points = [
            _point(one.observation) for one in self.told if one.observation.kind == "complete"
        ]
        return points[int(np.argmin(self.scores(points)[0]))] if points else None

    @property
    def incumbent(self) -> float | None:
        """The expected score of the best trial; None if none ran to its end."""
        return None if self.best is None else self.score(*self.best)[0]


def fit(
    prior: Prior,
    observations: Sequence[Observation],
    running: Sequence[tuple[int, float]] = (),
    *,
    noise: float = NOISE,
) -> Posterior:
    """Condition the prior on trials.

    Args:
        prior: Where the score is expected to lie.
        observations: Trials; infeasible ones are left out.
        running: Trials under way: (global batch size, learning rate). They are taken to end
            where they are expected to, so that only their neighbourhood becomes less unknown.
        noise: Standard deviation of one trial about its expectation.

    Returns:
        The posterior. A flat prior's level is that of the completed trials.
    """
    seen = _best(observations)
    offset = _level(prior, seen)
    if not seen:
        return Posterior(prior, None, offset)
    means, inputs = _inputs(prior, [_point(one) for one in seen], _seeds(seen))
    evidence = _evidence(prior, seen, inputs, means + offset, noise)
    told = tuple(map(Told, seen, (means + offset + evidence.expected).tolist()))
    process = _process(inputs, evidence.residuals, evidence.variances)
    if running:
        _, beside = _inputs(prior, running, [0.0] * len(running))
        process = _process(
            np.vstack([inputs, beside]),
            np.concatenate([evidence.residuals, process.predict(beside)]),
            np.concatenate([evidence.variances, np.full(len(running), noise**2)]),
        )
    return Posterior(prior, process, offset, told)


def beyond(cut: Floats, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of normal variables, given that they lie above a cut.

    Args:
        cut: What each of them exceeds.
        mean: Of the variables.
        deviation: Standard deviations of the variables.

    Returns:
        E[Y | Y > cut] and Var[Y | Y > cut].
    """
    z = (cut - mean) / deviation
    hazard = np.exp(stats.norm.logpdf(z) - stats.norm.logsf(z))
    share = np.clip(1.0 - hazard * (hazard - z), LEAST_SHARE, 1.0)
    return np.maximum(mean + deviation * hazard, cut), deviation**2 * share


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the process regresses on, all of shape (trials,).

    Args:
        residuals: Values above the prior's mean.
        variances: Of their noise.
        expected: Residuals that each trial counts as: those of cut ones given their cut.
    """

    residuals: Floats
    variances: Floats
    expected: Floats


def _censored(
    covariance: Floats, residuals: Floats, variances: Floats, cut: NDArray[np.bool_]
) -> Evidence:
    """Turn one-sided limits into values and variances that say as much, sweep by sweep.

    Args:
        covariance: Prior covariance of the trials, shape (trials, trials).
        residuals: What was measured, and where the others were cut, above the prior's mean.
        variances: Of the noise.
        cut: Which were cut.
    """
    limits, noise = residuals[cut], variances[cut]
    expected = residuals.copy()
    # In natural parameters, as propagation needs them: precision, and precision times mean.
    precision = np.zeros(len(limits))
    weighted = np.zeros(len(limits))
    values, spreads = residuals.copy(), variances.copy()
    for _ in range(SWEEPS):
        said = np.maximum(precision, NOTHING)
        values[cut] = np.where(precision > NOTHING, weighted / said, limits)
        spreads[cut] = noise + 1.0 / said
        inverse = linalg.inv(covariance + np.diag(spreads))
        own = np.diag(inverse)
        without = (values - (inverse @ values) / own)[cut]
        wide = np.maximum((1.0 / own - spreads)[cut], 0.0) + noise
        mean, variance = beyond(limits, without, np.sqrt(wide))
        moved = np.abs(mean - expected[cut]).max()
        expected[cut] = mean
        if moved < SETTLED:
            break
        target = np.maximum(1.0 / variance - 1.0 / wide, 0.0)
        precision += STEP * (target - precision)
        weighted += STEP * (mean / variance - without / wide - weighted)
    expected[cut] = np.minimum(expected[cut], limits + MOST_BEYOND)
    return Evidence(values, spreads, expected)


def _evidence(
    prior: Prior, seen: Sequence[Observation], inputs: Floats, means: Floats, noise: float
) -> Evidence:
    """Value the trials; a metric that was read too early is no limit, only a poor reading."""
    variances = np.array([_noise(one, noise) ** 2 for one in seen])
    residuals = np.array(_values(seen)) - means
    cut = np.array([one.kind == "censored" for one in seen])
    if prior.steps is None:
        variances[cut] = PACE_NOISE**2
        return Evidence(residuals, variances, residuals)
    if not cut.any():
        return Evidence(residuals, variances, residuals)
    return _censored(PriorKernel()(inputs), residuals, variances, cut)


def _process(inputs: Floats, residuals: Floats, variances: Floats) -> GaussianProcessRegressor:
    process = GaussianProcessRegressor(PriorKernel(), alpha=variances, optimizer=None)
    return process.fit(inputs, residuals)


def _inputs(
    prior: Prior, points: Sequence[tuple[int, float]], seeds: Sequence[float] | None = None
) -> tuple[Floats, Floats]:
    """Prior means (points,), and what the kernel needs: x, u, seed and the laws' differences."""
    batches = np.array([float(batch) for batch, _ in points])
    rates = np.array([rate for _, rate in points])
    weights, scores = prior.laws(batches, rates)
    means = weights @ scores
    differences = np.sqrt(weights)[:, None] * (scores - means)
    centres = np.array([prior.rate(batch) for batch, _ in points])
    of_seed = np.full(len(points), NO_SEED) if seeds is None else np.array(seeds)
    return means, np.vstack([np.log2(batches), np.log(rates / centres), of_seed, differences]).T


def _seeds(observations: Sequence[Observation]) -> list[float]:
    """Number the seeds in the order in which they were met; the first is the search's own."""
    numbers: dict[int | None, float] = {}
    return [numbers.setdefault(one.seed, float(len(numbers))) for one in observations]


def _best(observations: Sequence[Observation]) -> list[Observation]:
    """Leave out what has no place in a fit; keep the order."""
    feasible = [one for one in observations if one.kind == "diverged" or one.score is not None]
    if len(feasible) <= MOST_OBSERVATIONS:
        return feasible
    kept = sorted(range(len(feasible)), key=lambda i: _rank(feasible[i]))[:MOST_OBSERVATIONS]
    return [feasible[index] for index in sorted(kept)]


def _rank(one: Observation) -> float:
    return one.score if one.kind != "diverged" and one.score is not None else math.inf


def _values(observations: Sequence[Observation]) -> list[float]:
    """Scores, and a penalty for those that diverged."""
    known = [one.score for one in observations if one.kind != "diverged"]
    worst = max((score for score in known if score is not None), default=0.0)
    return [
        worst + DIVERGED_PENALTY if one.kind == "diverged" or one.score is None else one.score
        for one in observations
    ]


def _noise(one: Observation, noise: float) -> float:
    if one.kind == "paced":
        return PACE_NOISE
    return DIVERGED_NOISE if one.kind == "diverged" else noise


def _level(prior: Prior, observations: Sequence[Observation]) -> float:
    """Level of a flat prior: by how much the completed trials exceed it, in the median."""
    known = [one for one in observations if one.kind == "complete" and one.score is not None]
    if prior.steps is not None or not known:
        return 0.0
    means, _ = _inputs(prior, [_point(one) for one in known])
    return float(np.median([one.score or 0.0 for one in known] - means))


def _point(one: Observation) -> tuple[int, float]:
    return one.global_batch_size, one.learning_rate
