"""Real data that ships with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tuner.errors import InvalidWorkload
from tuner.workloads.datasets.arrays import Arrays, as_inputs, as_targets

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.records import Workload

DIGIT_LEVELS: Final = 16.0
"""Grey levels of the digits: values run from 0 to 16."""

DIGIT_SIDE: Final = 8
"""Pixels along each side of a digit."""


def load_sklearn(workload: Workload, places: Places) -> Arrays:  # noqa: ARG001 - the loaders' signature
    """Read one of the data sets that lie in scikit-learn's own package; nothing is fetched.

    Digits become images (N, 1, 8, 8) in [0, 1]. The tables are to be standardised by
    training statistics: the inputs, and for regression the targets as well, so that a loss
    of 1 is what predicting the mean gives.

    Args:
        workload: Names the data set.
        places: Not needed.

    Returns:
        The whole data set, not yet split.

    Raises:
        InvalidWorkload: scikit-learn is not installed, or has no such data set.
    """
    try:
        import sklearn.datasets as bundled  # noqa: PLC0415 - only where such data are asked for
    except ImportError as error:
        raise InvalidWorkload(
            "This data set needs scikit-learn, which is not installed here.", pointer="/dataset"
        ) from error
    name = str(workload.dataset["name"])
    read = getattr(bundled, f"load_{name}", None)
    if read is None:
        raise InvalidWorkload(f"scikit-learn has no {name!r}.", pointer="/dataset/name")
    x, y = read(return_X_y=True)
    if name == "digits":
        return Arrays(x_train=as_inputs(_images(x)), y_train=as_targets(y))
    return Arrays(x_train=as_inputs(x), y_train=as_targets(y), standardise=True)


def _images(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, 1, DIGIT_SIDE, DIGIT_SIDE) / DIGIT_LEVELS
