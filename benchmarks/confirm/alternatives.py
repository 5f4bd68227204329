"""Other intervals for the same confirmations: what was tried against the winner's curse.

Each takes confirmations of one shape at once and returns the ends of a 95 % interval of the mean
of ln T of what was chosen. `own` is what `tuner.deciding` does; it is repeated here only so that
all stand in one table over exactly the same draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Interval = tuple[Floats, Floats]

LEVEL = 0.95
CORRELATION = 0.7
"""Middle of the correlations that were measured between two configurations on one seed."""

RESAMPLES = 300
BISECTIONS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Confirmations whose answer has an interval.

    Args:
        scores: (draws, finalists, seeds), the chosen one first in each; NaN where not known.
        rounds: (draws,) seeds that the finalists ran side by side.
    """

    scores: Floats
    rounds: NDArray[np.int64]

    @property
    def chosen(self) -> Floats:
        """Scores of what was chosen, (draws, seeds)."""
        return self.scores[:, 0]

    @property
    def in_rounds(self) -> NDArray[np.bool_]:
        """Whether a seed belongs to the rounds, (draws, seeds)."""
        return np.arange(self.scores.shape[2]) < self.rounds[:, None]

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Finalists that ran every round without a miss, (draws, finalists)."""
        known = ~np.isnan(self.scores) | ~self.in_rounds[:, None]
        return np.asarray(known.all(axis=2))


def own(draws: Draws) -> Interval:
    """Student's t over all seeds of the chosen one."""
    return _student(draws.chosen)


def free(draws: Draws) -> Interval:
    """Student's t over the seeds after the choice alone: no curse at all."""
    return _student(np.where(draws.in_rounds, np.nan, draws.chosen))


def pooled(draws: Draws) -> Interval:
    """Scatter pooled over all finalists, as if it were one."""
    mean, count = _mean(draws.chosen), _count(draws.chosen)
    variance, freedom = _pooled(draws)
    reach = _quantile(freedom) * np.sqrt(variance / count)
    return mean - reach, mean + reach


def shrunk(draws: Draws) -> Interval:
    """Empirical Bayes: the finalists' means over the rounds are drawn together.

    Efron and Morris 1975, with the positive part: means that differ by no more than their noise
    become one mean, and the interval is that much shorter. Scatter is pooled.
    """
    variance, freedom = _pooled(draws)
    inside = draws.in_rounds[:, None] & draws.complete[:, :, None]
    means = _mean(np.where(inside, draws.scores, np.nan), missing=np.nan)
    rivals = draws.complete.sum(axis=1)
    noise = (1.0 - CORRELATION) * variance / draws.rounds
    between = _squares(means) / np.maximum(1, rivals - 1)
    kept = np.clip(1.0 - noise / np.maximum(between, 1e-12), 0.0, 1.0)
    centre = _mean(means)
    in_rounds = centre + kept * (means[:, 0] - centre)
    count = _count(draws.chosen)
    after = count - draws.rounds
    rest = np.nansum(np.where(draws.in_rounds, np.nan, draws.chosen), axis=1)
    mean = (draws.rounds * in_rounds + rest) / count
    share = draws.rounds / count
    effective = CORRELATION + (1.0 - CORRELATION) * (kept + (1.0 - kept) / rivals)
    spread = variance * (share * effective + after / count) / count
    reach = _quantile(freedom) * np.sqrt(spread)
    return mean - reach, mean + reach


def bootstrap(draws: Draws) -> Interval:
    """Percentiles over resampled seeds, with the choice made anew in each."""
    rng = np.random.default_rng(0)
    lows, highs = [], []
    for scores, rounds in zip(draws.scores, draws.rounds.tolist(), strict=True):
        shared = scores[:, :rounds]
        shared = shared[~np.isnan(shared).any(axis=1)]
        extra = scores[0, rounds:][~np.isnan(scores[0, rounds:])]
        again = shared[:, rng.integers(0, rounds, (RESAMPLES, rounds))]
        totals = again.sum(axis=2).min(axis=0)
        if len(extra):
            totals = totals + extra[rng.integers(0, len(extra), (RESAMPLES, len(extra)))].sum(
                axis=1
            )
        low, high = np.quantile(totals / (rounds + len(extra)), [0.025, 0.975])
        lows.append(low)
        highs.append(high)
    return np.array(lows), np.array(highs)


def conditional(draws: Draws) -> Interval:
    """What holds given which one won: a truncated normal law, Lee et al. 2016, arXiv:1311.6238.

    Valid with the true scatter; the pooled one stands in for it. Only for confirmations without
    further seeds: on those the rounds say nothing.
    """
    variance, freedom = _pooled(draws)
    inside = draws.in_rounds[:, None] & draws.complete[:, :, None]
    means = _mean(np.where(inside, draws.scores, np.nan), missing=np.inf)
    best, second = means[:, 0], means[:, 1:].min(axis=1)
    bound = best + np.maximum(second - best, 0.0) / (1.0 - CORRELATION)
    error = np.sqrt(variance / draws.rounds) * _quantile(freedom) / _quantile(np.inf)
    return _solve(best, bound, error, 0.975), _solve(best, bound, error, 0.025)


METHODS: dict[str, Callable[[Draws], Interval]] = {
    "own": own,
    "free": free,
    "pooled": pooled,
    "shrunk": shrunk,
    "bootstrap": bootstrap,
    "conditional": conditional,
}


def _solve(value: Floats, bound: Floats, error: Floats, share: float) -> Floats:
    """Find the mean at which a normal law, cut off above `bound`, has `share` below `value`."""
    low, high = value - 40.0 * error, value + 10.0 * error
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        below = stats.norm.logcdf((value - middle) / error)
        below = below - stats.norm.logcdf((bound - middle) / error)
        high = np.where(below < np.log(share), middle, high)
        low = np.where(below < np.log(share), low, middle)
    return (low + high) / 2.0


def _student(scores: Floats) -> Interval:
    mean, count = _mean(scores), _count(scores)
    error = np.sqrt(_squares(scores) / (count - 1) / count)
    reach = _quantile(count - 1.0) * error
    return mean - reach, mean + reach


def _pooled(draws: Draws) -> tuple[Floats, Floats]:
    """Variance pooled over the finalists, and the freedom it is worth.

    Squares of correlated scores are correlated by the square of that correlation on the seeds
    that are shared (Satterthwaite 1946).
    """
    freedom = _count(draws.scores) - 1.0
    freedom = np.maximum(freedom, 0.0)
    squares = np.where(freedom > 0, _squares(draws.scores), 0.0)
    total = freedom.sum(axis=1)
    spread = 2.0 * total
    finalists = draws.scores.shape[1]
    for one in range(finalists):
        for other in range(one):
            shared = np.minimum(freedom[:, one], freedom[:, other])
            spread = spread + 4.0 * CORRELATION**2 * shared
    return squares.sum(axis=1) / total, 2.0 * total**2 / spread


def _quantile(freedom: Floats | float) -> Floats:
    return np.asarray(stats.t.ppf(0.5 + LEVEL / 2.0, freedom))


def _count(scores: Floats) -> Floats:
    return np.asarray((~np.isnan(scores)).sum(axis=-1), dtype=float)


def _mean(scores: Floats, missing: float = 0.0) -> Floats:
    """Mean of what is known along the last axis; `missing` where nothing is."""
    count = _count(scores)
    return np.where(count > 0, np.nansum(scores, axis=-1) / np.maximum(1.0, count), missing)


def _squares(scores: Floats) -> Floats:
    return np.asarray(np.nansum((scores - _mean(scores)[..., None]) ** 2, axis=-1))
