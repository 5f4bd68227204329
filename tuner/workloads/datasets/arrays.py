"""What every source of data hands over, before it is split and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from tuner.errors import InvalidWorkload

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.records import Workload

MAX_UINT8: Final = 255.0
IMAGE_NDIM: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """Arrays as a source holds them; the sample axis comes first.

    Args:
        x_train: Inputs, (N, ...): float32, or int64 for token ids.
        y_train: int64 class indices (N,), float32 values (N,) or (N, K), or None.
        x_val: Held-out inputs, or None where the split is still to be made.
        y_val: Held-out targets, or None.
        output_size: Classes, outputs or vocabulary, where the source knows; else None.
        standardise: Scale float inputs and float targets by training statistics.
        synthetic: The targets are invented, so that learning means nothing.
    """

    x_train: torch.Tensor
    y_train: torch.Tensor | None
    x_val: torch.Tensor | None = None
    y_val: torch.Tensor | None = None
    output_size: int | None = None
    standardise: bool = False
    synthetic: bool = False


Loader = Callable[["Workload", "Places"], Arrays]
"""Reads one kind of data set."""


def as_inputs(array: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Give inputs the dtype they are trained in.

    Args:
        array: (N, ...), any real dtype.

    Returns:
        float32, or int64 for integers of shape (N, L), which are token ids. Integers with
        more axes are images: `uint8` is divided by 255, wider ones are only converted.
    """
    tensor = _tensor(array)
    if tensor.is_floating_point():
        return tensor.to(torch.float32)
    if tensor.ndim < IMAGE_NDIM:
        return tensor.to(torch.int64)
    scale = MAX_UINT8 if tensor.dtype == torch.uint8 else 1.0
    return tensor.to(torch.float32) / scale


def as_targets(array: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Give targets the dtype they are trained in: float32, or int64 for integers."""
    tensor = _tensor(array)
    return tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64)


def _tensor(array: np.ndarray | torch.Tensor) -> torch.Tensor:
    if isinstance(array, torch.Tensor):
        tensor = array.detach().cpu()
    elif isinstance(array, np.ndarray) and array.dtype.kind in "fiub":
        tensor = torch.from_numpy(_torch_can_hold(array))
    else:
        kind = getattr(array, "dtype", type(array).__name__)
        raise InvalidWorkload(
            f"Arrays must hold real numbers, not {kind}.", code="shape_mismatch", pointer="/dataset"
        )
    if tensor.is_complex():
        raise InvalidWorkload(
            "Arrays must hold real numbers, not complex ones.",
            code="shape_mismatch",
            pointer="/dataset",
        )
    return tensor


def _torch_can_hold(array: np.ndarray) -> np.ndarray:
    """Copy into native byte order and a dtype that torch has; uint8 stays, for images."""
    if array.dtype == np.uint8:
        return np.array(array)
    if array.dtype.kind == "f":
        # An overflow to infinity is found by the check for finite values, which names it.
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    return array.astype(np.int64)
