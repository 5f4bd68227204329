"""Between the tensors of lone runs and those of a stack, which have an axis of replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

COUNTER: Final = "step"
"""How optimizers call the one part of a weight's state that all replicas have in common."""


def stacked_parameters(models: Sequence[nn.Module], *, trained: bool) -> dict[str, Tensor]:
    """Stack the weights of equal models.

    Args:
        models: One for each replica.
        trained: Those that want a gradient, or the others.

    Returns:
        (R, ...) each, by name, without history.
    """
    of_each = [dict(model.named_parameters()) for model in models]
    return {
        name: torch.stack([each[name].detach() for each in of_each])
        for name, parameter in of_each[0].items()
        if parameter.requires_grad is trained
    }


def stacked_buffers(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Stack the buffers of equal models: (R, ...) each, by name."""
    of_each = [dict(model.named_buffers()) for model in models]
    return {name: torch.stack([each[name] for each in of_each]) for name in of_each[0]}


def stacked_state(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stack an optimizer's states of one weight; all replicas have taken as many steps."""
    return {
        key: torch.stack([each[key] for each in states])
        if key != COUNTER and isinstance(value, Tensor)
        else _copied(value)
        for key, value in states[0].items()
    }


def state_at(state: dict[str, Any], places: Tensor | int) -> dict[str, Any]:
    """Take some replicas of a stacked state, or one: its axis is then gone."""
    return {
        key: value[places].clone() if key != COUNTER and isinstance(value, Tensor) else value
        for key, value in state.items()
    }


def write_lone(
    model: nn.Module, optimizer: Optimizer, tensors: dict[str, Tensor], place: int
) -> None:
    """Give a lone model the weights and buffers of one replica.

    Args:
        model: Of the same workload; its tensors are overwritten.
        optimizer: The model's own; any state it has is dropped.
        tensors: All weights and buffers of the stack, by name.
        place: Which replica.
    """
    with torch.no_grad():
        for owned in (model.named_parameters(), model.named_buffers()):
            for name, tensor in owned:
                tensor.copy_(tensors[name][place])
    optimizer.state.clear()


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
