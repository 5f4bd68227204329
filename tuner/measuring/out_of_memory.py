"""Telling a device that ran out of memory from a program that is wrong."""

from __future__ import annotations

import gc
import traceback
from typing import Final

import torch

TEXTS: Final = (
    "out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""What libraries write where they have no type of their own for it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out.

    Args:
        error: Anything raised by building, training or evaluating a model.

    Returns:
        True for torch's own type, for Python's and NumPy's `MemoryError`, for a tracked limit
        (a `MemoryError` too), and for the texts of the CPU allocator, cuBLAS and cuDNN. An
        error that was raised because of such a one counts as well.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(seen, RuntimeError) and any(text in str(seen) for text in TEXTS):
            return True
        seen = seen.__cause__
    return False


def forget(error: BaseException) -> None:
    """Drop the local variables that the frames of an error keep alive, its causes' too."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__


def release(device: torch.device | None) -> None:
    """Give back what nobody refers to any more; call it outside an `except` block."""
    gc.collect()
    if device is not None and device.type == "cuda":
        torch.cuda.empty_cache()
