"""The gradient noise scale: how large a batch is still worth its samples.

With K splits of b samples, B = K b, `small` the mean squared norm of a split's gradient and
`big` the squared norm of their mean, each of

    G2  = (B big - b small) / (B - b)         the squared norm of the true gradient
    trS = (small - big) / (1/b - 1/B)         the trace of the per-sample covariance

is unbiased, their ratio is not. So both are averaged over windows first and divided then.

Source: McCandlish et al. 2018, arXiv:1812.06162, appendix A.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from tuner.records import NoiseWindow

BLOCKS: Final = 10
"""Blocks of the jackknife: neighbouring windows are correlated, so whole blocks are left out."""

MIN_WINDOWS: Final = 5
"""Fewer windows than this say nothing about their own spread."""

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScale:
    """The critical batch size by the simple noise scale trS / G2.

    Args:
        estimate: In samples; None when it is unresolved (G2 is not above 0).
        low: Lower end of the 95 % interval.
        high: Upper end, or None if it is unbounded.
        windows: Number of windows behind it.
    """

    estimate: float | None
    low: float | None
    high: float | None
    windows: int


def noise_scale(windows: Sequence[NoiseWindow]) -> NoiseScale:
    """Estimate the noise scale with a block-jackknife interval.

    Args:
        windows: Split steps, in order; the batch sizes may differ.

    Returns:
        The estimate in samples. It is unresolved where the mean squared gradient is not
        above 0, or where there are too few windows. The interval is taken on the logarithm.
    """
    usable = [w for w in windows if w.splits > 1 and math.isfinite(w.small + w.big)]
    unresolved = NoiseScale(estimate=None, low=None, high=None, windows=len(usable))
    if len(usable) < MIN_WINDOWS:
        return unresolved
    gradient, trace = np.array([_moments(window) for window in usable]).T
    if gradient.mean() <= 0.0 or trace.mean() <= 0.0:
        return unresolved
    estimate = float(trace.mean() / gradient.mean())
    error = _jackknife_error(gradient, trace)
    if error is None:
        return NoiseScale(estimate=estimate, low=None, high=None, windows=len(usable))
    blocks = min(BLOCKS, len(usable))
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, blocks - 1)) * error
    return NoiseScale(
        estimate=estimate,
        low=estimate * math.exp(-min(reach, 50.0)),
        high=estimate * math.exp(min(reach, 50.0)),
        windows=len(usable),
    )


def _moments(window: NoiseWindow) -> tuple[float, float]:
    small_size = window.small_batch_size
    big_size = small_size * window.splits
    gradient = (big_size * window.big - small_size * window.small) / (big_size - small_size)
    trace = (window.small - window.big) / (1.0 / small_size - 1.0 / big_size)
    return gradient, trace


def _jackknife_error(gradient: np.ndarray, trace: np.ndarray) -> float | None:
    """Standard error of the logarithm of the ratio; None where a block decides its sign."""
    blocks = np.array_split(np.arange(len(gradient)), min(BLOCKS, len(gradient)))
    logs = []
    for block in blocks:
        kept_gradient = np.delete(gradient, block).mean()
        kept_trace = np.delete(trace, block).mean()
        if kept_gradient <= 0.0 or kept_trace <= 0.0:
            return None
        logs.append(math.log(kept_trace / kept_gradient))
    count = len(logs)
    return math.sqrt((count - 1) / count * float(np.sum((np.array(logs) - np.mean(logs)) ** 2)))
