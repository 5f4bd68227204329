"""How large a model will be, found out before any of it is allocated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from tuner.errors import InvalidWorkload
from tuner.machine import available_memory_bytes

MAX_PARAMETERS: Final = 4_000_000_000
"""Parameters at most: 16 GB in float32, before gradients and optimizer state."""

MAX_PARAMETER_TENSORS: Final = 50_000
"""Weight tensors at most: a depth of a million would fill memory even without any values."""

FLOAT32_BYTES: Final = 4


def check_size(build: Callable[[], nn.Module], *, pointer: str) -> None:
    """Refuse a model that is too large to be built here.

    Args:
        build: Builds it on the current default device.
        pointer: JSON Pointer to the part that is to blame.

    Raises:
        InvalidWorkload: `model_too_large`, as soon as a limit is passed.
    """
    limit = min(MAX_PARAMETERS, available_memory_bytes() // FLOAT32_BYTES)
    outline(build, pointer=pointer, limit=limit)


def outline(
    build: Callable[[], nn.Module], *, pointer: str, limit: int = MAX_PARAMETERS
) -> nn.Module:
    """Build a model on the `meta` device, which allocates nothing, and refuse a giant.

    Args:
        build: Builds it on the current default device.
        pointer: JSON Pointer to the part that is to blame.
        limit: Values in parameters and buffers at most.

    Returns:
        The model, without values.

    Raises:
        InvalidWorkload: `model_too_large`, as soon as a limit is passed.
    """
    with _counted(limit, pointer), torch.device("meta"):
        model = build()
    buffers = sum(buffer.numel() for buffer in model.buffers())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters + buffers > limit:
        raise _too_large(parameters + buffers, limit, pointer)
    return model


@contextmanager
def _counted(limit: int, pointer: str) -> Iterator[None]:
    values = tensors = 0

    def count(_module: nn.Module, _name: str, parameter: nn.Parameter) -> None:
        nonlocal values, tensors
        values, tensors = values + parameter.numel(), tensors + 1
        # Shared weights are counted each time they are registered, hence the factor.
        if values > 2 * limit or tensors > MAX_PARAMETER_TENSORS:
            raise _too_large(values, limit, pointer, tensors=tensors)

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _too_large(values: int, limit: int, pointer: str, tensors: int = 0) -> InvalidWorkload:
    return InvalidWorkload(
        f"The model has at least {values:,} values in its weights; at most {limit:,} in "
        f"{MAX_PARAMETER_TENSORS:,} tensors can be built here. Make it smaller.",
        code="model_too_large",
        pointer=pointer,
        facts={"values": values, "limit": limit, "tensors": tensors},
    )
