"""Numeric precision of forward passes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def autocast_of(training: Mapping[str, Any], device: torch.device) -> AbstractContextManager[Any]:
    """Make the context that forward passes run in; a fresh one for every pass.

    Args:
        training: `training` of the workload.
        device: Where the model is.

    Returns:
        bfloat16 autocast for `bf16`, else a context that does nothing. Weights, gradients and
        optimizer state stay float32; losses are computed in float32 in either case.
    """
    if training.get("precision", "fp32") == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
