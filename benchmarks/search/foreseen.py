"""From raw predictions to a prediction with a stated error, fitted on runs that are known.

The mean is linear in the raw predictions, fitted by least absolute deviations; the error grows
linearly with what is predicted and with how far the laws disagree; its quantiles are those of
the residuals it was fitted on, so nothing is taken to be normal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.search.curve_laws import Floats

QUANTILES: Final = (0.005, 0.01, 0.02, 0.05, 0.10, 0.90, 0.95)
SWEEPS: Final = 50
LEAST_ERROR: Final = 0.01
"""No error is stated below this, in units of ln steps."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Foresight:
    """A method: which laws it reads, and the constants that were fitted.

    Args:
        laws: Names of the raw predictions.
        weights: One for each law, after a constant, shape (laws + 1,).
        spread: Of the error: constant, per unit predicted, per unit of disagreement.
        quantiles: Of the residuals over their stated error.
    """

    laws: tuple[str, ...]
    weights: Floats
    spread: Floats
    quantiles: Mapping[float, float]

    def mean(self, raw: Mapping[str, Floats]) -> Floats:
        """Expected ln(steps to the target / steps until now), shape (runs,)."""
        return np.maximum(_design(raw, self.laws) @ self.weights, 0.0)

    def error(self, raw: Mapping[str, Floats]) -> Floats:
        """Stated error of it, shape (runs,)."""
        return np.maximum(_spreads(raw, self.laws, self.mean(raw)) @ self.spread, LEAST_ERROR)

    def bound(self, raw: Mapping[str, Floats], quantile: float) -> Floats:
        """Say what the truth exceeds but for this share of runs."""
        return self.mean(raw) + self.quantiles[quantile] * self.error(raw)


def fit(raw: Mapping[str, Floats], truth: Floats, laws: Sequence[str]) -> Foresight:
    """Fit the constants of a method.

    Args:
        raw: Raw predictions by law, each of shape (runs,).
        truth: ln(steps to the target / steps until now), shape (runs,).
        laws: What the method reads; none for one that knows the constant alone.
    """
    design = _design(raw, laws)
    weights = least_deviations(design, truth)
    mean = np.maximum(design @ weights, 0.0)
    residuals = truth - mean
    spreads = _spreads(raw, laws, mean)
    spread = least_deviations(spreads, np.abs(residuals))
    stated = np.maximum(spreads @ spread, LEAST_ERROR)
    return Foresight(
        laws=tuple(laws),
        weights=weights,
        spread=spread,
        quantiles={q: float(np.quantile(residuals / stated, q)) for q in QUANTILES},
    )


def least_deviations(design: Floats, truth: Floats) -> Floats:
    """Fit a linear law by least absolute deviations: weighted least squares, over and over."""
    weights = _least_squares(design, truth)
    for _ in range(SWEEPS):
        root = 1.0 / np.sqrt(np.maximum(np.abs(truth - design @ weights), 1e-3))
        weights = _least_squares(design * root[:, None], truth * root)
    return weights


def _least_squares(design: Floats, truth: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq(design, truth, rcond=None)[0], dtype=np.float64)


def _design(raw: Mapping[str, Floats], laws: Sequence[str]) -> Floats:
    columns = [raw[law] for law in laws]
    length = len(next(iter(raw.values())))
    return np.stack([np.ones(length), *columns], axis=1)


def _spreads(raw: Mapping[str, Floats], laws: Sequence[str], mean: Floats) -> Floats:
    columns = [np.ones(len(mean)), mean]
    if len(laws) > 1:
        columns.append(np.ptp([raw[law] for law in laws], axis=0))
    return np.stack(columns, axis=1)
