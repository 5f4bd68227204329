"""The one place that knows how different kinds of models are called and what they return."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch


def logits_of(
    model: torch.nn.Module, inputs: torch.Tensor, attention_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Run a model forward.

    Models of transformers name their main input and return an object with `logits`; plain
    ones take the inputs as first argument and return a tensor.

    Args:
        model: Any model that `build_model` returns.
        inputs: (N, ...), float32 or int64.
        attention_mask: int64 (N, L), 1 where a token is real; passed where the model takes
            one. None where nothing is padding.

    Returns:
        The scores, in whatever dtype the model computed.

    Raises:
        TypeError: The model returned neither a tensor nor an object with `logits`.
    """
    extra: dict[str, Any] = {}
    if attention_mask is not None and takes_attention_mask(model):
        extra["attention_mask"] = attention_mask
    main_input = getattr(model, "main_input_name", None)
    output = model(**{main_input: inputs}, **extra) if main_input else model(inputs, **extra)
    scores = output if isinstance(output, torch.Tensor) else getattr(output, "logits", None)
    if not isinstance(scores, torch.Tensor):
        raise TypeError(
            f"the model returned {type(output).__name__}; it must return a tensor or an object "
            "with a tensor `logits`"
        )
    return scores


def takes_attention_mask(model: torch.nn.Module) -> bool:
    """Say whether the forward method has an argument `attention_mask`."""
    return "attention_mask" in _arguments(type(model).forward)


@cache
def _arguments(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)
