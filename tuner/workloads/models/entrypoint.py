"""Models that people's own code builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from torch import nn

from tuner.entrypoints import failure_of, load_function
from tuner.errors import InvalidWorkload

if TYPE_CHECKING:
    from tuner.workloads.models.blueprint import Blueprint

POINTER: Final = "/model/target"


def build_entrypoint(blueprint: Blueprint) -> nn.Module:
    """Call a function that returns a module.

    The function is called with its `kwargs`; if it declares `input_shape` (a tuple, without
    the batch axis) or `output_size` and `kwargs` do not give them, it gets those of the data.

    Args:
        blueprint: Names the target.

    Returns:
        What the function returned.

    Raises:
        InvalidWorkload: The target is not allowed or not found, raised, or returned something
            else than a module.
    """
    function = load_function(str(blueprint.model["target"]), blueprint.places, pointer=POINTER)
    try:
        model = function(**_arguments(function, blueprint))
    except InvalidWorkload:
        raise  # too large: known before anything is allocated
    except Exception as error:
        raise failure_of(error, POINTER) from error
    if not isinstance(model, nn.Module):
        raise InvalidWorkload(
            f"The function returned {type(model).__name__}; it must return a torch.nn.Module.",
            code="model_failed",
            pointer=POINTER,
        )
    return model


def _arguments(function: Callable[..., Any], blueprint: Blueprint) -> dict[str, Any]:
    try:
        declared = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return dict(blueprint.model.get("kwargs", {}))
    sizes = {"input_shape": blueprint.input_shape, "output_size": blueprint.output_size}
    known = {name: size for name, size in sizes.items() if name in declared}
    return known | dict(blueprint.model.get("kwargs", {}))
