"""Statistics of a study: intervals over seeds, slopes, rank correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev
from typing import Final

import numpy as np
from scipy import stats

from tuner.study_findings import Spread

CONFIDENCE: Final = 0.95
"""Of the intervals that are shown; claims have their own."""


def interval(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Return mean, low and high of Student's t interval of at least two values."""
    mean = fmean(values)
    reach = _quantile(len(values) - 1, confidence) * stdev(values, mean) / math.sqrt(len(values))
    return mean, mean - reach, mean + reach


def share_interval(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Return share, low and high of the exact interval of yes and no (Clopper and Pearson 1934).

    Five times yes do not mean always, which Student's t would say of values without scatter.

    Args:
        values: 1 for yes, 0 for no.
        confidence: Of the interval.
    """
    count, yes = len(values), sum(values)
    tail = (1.0 - confidence) / 2.0
    low = float(stats.beta.ppf(tail, yes, count - yes + 1)) if yes > 0 else 0.0
    high = float(stats.beta.ppf(1.0 - tail, yes + 1, count - yes)) if yes < count else 1.0
    return yes / count, low, high


def spread(values: Sequence[float | None]) -> Spread | None:
    """Summarise one value a seed.

    Args:
        values: None, or not finite, where a seed has none.

    Returns:
        Mean and interval; None without a value, an interval only with two.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    if len(known) == 1:
        return Spread(mean=known[0], low=None, high=None, confidence=CONFIDENCE, seeds=1)
    mean, low, high = interval(known, CONFIDENCE)
    return Spread(mean=mean, low=low, high=high, confidence=CONFIDENCE, seeds=len(known))


def log_slope(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """Fit ln value = a + slope ln size by least squares.

    Returns:
        The slope; None with fewer than two sizes, or where a value is not above 0.
    """
    if len(set(sizes)) < 2 or not min(values) > 0.0:  # noqa: PLR2004  (a line needs two points)
        return None
    x, y = np.log(np.asarray(sizes, dtype=float)), np.log(np.asarray(values, dtype=float))
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / (x * x).sum())


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None where one side does not vary."""
    if len(set(first)) < 2 or len(set(second)) < 2:  # noqa: PLR2004  (ranks of one say nothing)
        return None
    x, y = stats.rankdata(first), stats.rankdata(second)
    return float(np.corrcoef(x, y)[0, 1])


@cache
def _quantile(freedom: int, confidence: float) -> float:
    return float(stats.t.ppf(0.5 + confidence / 2.0, freedom))
