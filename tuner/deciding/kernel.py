"""The covariance of the residual: what the laws of the prior differ in, and what none foresees.

    expectation   level^2 + phi . phi' + amplitude^2 exp(-(dx / 1.2)^2 / 2 - (du / 0.8)^2 / 2)
    on one seed   the same + seed_level^2 + luck^2 exp(-dx^2 / 2 - (du / 0.5)^2 / 2)

Inputs are rows (x, u, seed, phi): x = log2 B, u = ln(rate / rate*(B)), phi the differences of
each law of the prior from their mean, times the root of its weight; seed is a number that trials
on one seed share, or `NO_SEED` for the expectation over seeds. Trials on one seed share its luck,
neighbours more of it than others: what several of them agree on may be that seed's alone.

Source: Pearce, Poloczek and Branke 2019, arXiv:1910.09259 (common random numbers in Bayesian
optimization: one covariance for the expectation, one for what each seed adds to it).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.gaussian_process.kernels import RBF, Kernel

from tuner.deciding.prior import Floats

BATCH_LENGTH: Final = 1.2
"""Octaves of B over which residuals are alike."""

RATE_LENGTH: Final = 0.8
"""Units of ln rate over which residuals are alike."""

AMPLITUDE: Final = 0.45
"""Standard deviation of what no law foresees, in units of ln T."""

LEVEL: Final = 0.2
"""Standard deviation of what all points share: S0 is known from a single run."""

SEED_LEVEL: Final = 0.15
"""Standard deviation of what a seed adds to all points alike."""

LUCK: Final = 0.25
"""Standard deviation of what it adds to some and not to others."""

LUCK_BATCH_LENGTH: Final = 1.0
"""Octaves of B over which a seed's luck is alike."""

LUCK_RATE_LENGTH: Final = 0.5
"""Units of ln rate over which it is."""

NO_SEED: Final = -1.0
"""Seed of an expectation."""

PLANE: Final = 2
"""The first two columns of an input are x and u, the next one is the seed."""


class PriorKernel(Kernel):  # type: ignore[misc]  # scikit-learn is not typed
    """Covariance of residuals, for scikit-learn; nothing in it is fitted.

    Args:
        amplitude: Standard deviation of what no law foresees.
        level: Standard deviation of what all points share.
        luck: Standard deviation of what a seed adds to some points and not to others.
    """

    def __init__(
        self, amplitude: float = AMPLITUDE, level: float = LEVEL, luck: float = LUCK
    ) -> None:
        self.amplitude = amplitude
        self.level = level
        self.luck = luck

    def __call__(
        self,
        X: Floats,  # noqa: N803  (scikit-learn's name)
        Y: Floats | None = None,  # noqa: N803
        eval_gradient: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Return the covariance of inputs (n, d) with others (m, d), or with themselves.

        Args:
            X: Inputs.
            Y: Other inputs, or None.
            eval_gradient: Asked for by scikit-learn; there are no parameters to derive by.

        Returns:
            Shape (n, m); with an empty gradient of shape (n, n, 0) where that is asked for.
        """
        other = X if Y is None else Y
        planes = X[:, :PLANE], other[:, :PLANE]
        laws = X[:, PLANE + 1 :] @ other[:, PLANE + 1 :].T
        local = self.amplitude**2 * RBF([BATCH_LENGTH, RATE_LENGTH])(*planes)
        lucky = self.luck**2 * RBF([LUCK_BATCH_LENGTH, LUCK_RATE_LENGTH])(*planes)
        seeds, others = X[:, PLANE, None], other[None, :, PLANE]
        lucky = ((seeds == others) & (seeds >= 0)) * (SEED_LEVEL**2 + lucky)
        covariance = self.level**2 + laws + local + lucky
        return (covariance, np.empty((len(X), len(X), 0))) if eval_gradient else covariance

    def diag(self, X: Floats) -> Floats:  # noqa: N803
        """Return the variances of inputs, shape (n,)."""
        expected = self.level**2 + self.amplitude**2 + (X[:, PLANE + 1 :] ** 2).sum(axis=1)
        variances: Floats = expected + (X[:, PLANE] >= 0) * (SEED_LEVEL**2 + self.luck**2)
        return variances

    def is_stationary(self) -> bool:
        """Return False: the laws differ more in some places than in others."""
        return False
