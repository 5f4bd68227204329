"""Which trainings may be stacked: those whose stacked steps are proven equal to lone ones.

The tests of this package hold stacked runs against lone ones for every kind of model, layer
and optimizer that the rule lets through. What is not tried there is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from tuner.records import TrainingRun, Workload

MODELS: Final = frozenset({"mlp", "cnn", "transformer"})
"""Builtin models that are proven; what own code or a foreign architecture does is not known."""

OPTIMIZERS: Final = frozenset({"sgd", "adam", "adamw", "rmsprop"})
"""Optimizers that move a weight by the rate times what does not depend on the rate."""

OWN: Final = frozenset({"id", "learning_rate", "seed", "checkpoint", "resume_from"})
"""Parts of a request in which runs of one stack may differ."""


def stackable(workload: Workload) -> str | None:
    """Say why runs of a workload cannot be stacked.

    Args:
        workload: What would be trained.

    Returns:
        None if they can; else the reason, a sentence for people.
    """
    return next((why for asked, why in REFUSALS.items() if asked(workload)), None)


def together(requests: Sequence[TrainingRun]) -> str | None:
    """Say why these very runs cannot be stacked.

    Args:
        requests: Of one stack.

    Returns:
        None if they can; else the reason, a sentence for people.
    """
    if not requests:
        return "A stack needs at least one run."
    first = requests[0]
    reason = stackable(first.workload)
    if reason is not None:
        return reason
    for part in fields(TrainingRun):
        values = [getattr(request, part.name) for request in requests]
        if part.name not in OWN and any(value != values[0] for value in values):
            return f"The runs differ in {part.name}; runs of one stack take the same steps."
    if _dropout(first.workload) and any(request.seed != first.seed for request in requests):
        return "Runs with dropout draw the same numbers in a stack, so they need the same seed."
    return None


def _dropout(workload: Workload) -> bool:
    return float(_options(workload).get("dropout", 0.0)) > 0.0


def _options(workload: Workload) -> Mapping[str, Any]:
    options: Mapping[str, Any] = workload.model.get("options", {})
    return options


def _is_foreign(workload: Workload) -> bool:
    kind, name = str(workload.model["kind"]), str(workload.model.get("name"))
    return kind != "builtin" or name not in MODELS


def _has_other_optimizer(workload: Workload) -> bool:
    return str(workload.training["optimizer"]["kind"]) not in OPTIMIZERS


def _is_compiled(workload: Workload) -> bool:
    return bool(workload.training.get("compile", False))


def _is_checkpointed(workload: Workload) -> bool:
    return bool(workload.training.get("activation_checkpointing", False))


def _is_rounded(workload: Workload) -> bool:
    return str(workload.training.get("precision", "fp32")) != "fp32"


REFUSALS: Mapping[Callable[[Workload], bool], str] = MappingProxyType(
    {
        _is_foreign: "Only the builtin models are proven to train in a stack as they do alone.",
        _has_other_optimizer: "This optimizer is not proven to step in a stack as it does alone.",
        _is_compiled: "A compiled model cannot be mapped over a stack.",
        _is_checkpointed: "Activations that are computed again cannot be mapped over a stack.",
        _is_rounded: "bf16 rounds a stacked product differently; such runs would not be equal.",
    }
)
"""From what a workload asks for to why it is refused."""
