"""The covariance of the residual: what the laws of the prior differ in, and what none foresees.

    k = level^2 + phi . phi' + amplitude^2 exp(-(dx / 1.2)^2 / 2 - (du / 0.8)^2 / 2)

Inputs are rows (x, u, phi): x = log2 B, u = ln(rate / rate*(B)), and phi the differences of each
law of the prior from their mean, times the root of its weight.
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
"""Standard deviation of what all points share: the luck of the seed that the trials train on."""

PLANE: Final = 2
"""The first two columns of an input are x and u."""


class PriorKernel(Kernel):  # type: ignore[misc]  # scikit-learn is not typed
    """Covariance of residuals, for scikit-learn; nothing in it is fitted.

    Args:
        amplitude: Standard deviation of what no law foresees.
        level: Standard deviation of what all points share.
    """

    def __init__(self, amplitude: float = AMPLITUDE, level: float = LEVEL) -> None:
        self.amplitude = amplitude
        self.level = level

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
        local = RBF([BATCH_LENGTH, RATE_LENGTH])(X[:, :PLANE], other[:, :PLANE])
        shared = X[:, PLANE:] @ other[:, PLANE:].T
        covariance = self.level**2 + self.amplitude**2 * local + shared
        return (covariance, np.empty((len(X), len(X), 0))) if eval_gradient else covariance

    def diag(self, X: Floats) -> Floats:  # noqa: N803
        """Return the variances of inputs, shape (n,)."""
        variances: Floats = self.level**2 + self.amplitude**2 + (X[:, PLANE:] ** 2).sum(axis=1)
        return variances

    def is_stationary(self) -> bool:
        """Return False: the laws differ more in some places than in others."""
        return False
