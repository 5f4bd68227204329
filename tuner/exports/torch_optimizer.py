"""The optimizer that was held fixed, in the words of `torch.optim`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from tuner.exports.numbers import number
from tuner.exports.plan import Plan

Value: TypeAlias = float | bool | tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchOptimizer:
    """A class of `torch.optim` and its arguments without the learning rate.

    Args:
        name: `SGD`, `Adam`, `AdamW` or `RMSprop`.
        arguments: Every argument that the spec knows, given or by default.
    """

    name: str
    arguments: Mapping[str, Value]


def torch_optimizer(plan: Plan) -> TorchOptimizer | None:
    """Name the optimizer with which the answer was measured.

    Args:
        plan: The answer.

    Returns:
        The same optimizer in the words of torch; None for one that is not known here.
    """
    name = NAMES.get(plan.optimizer)
    if name is None:
        return None
    given = plan.optimizer_options
    arguments: dict[str, Value] = {}
    if name in {"Adam", "AdamW"}:
        beta1, beta2 = given.get("beta1", 0.9), given.get("beta2", 0.999)
        arguments["betas"] = (float(beta1), float(beta2))
    for option, (argument, default) in ARGUMENTS[name].items():
        arguments[argument] = type(default)(given.get(option, default))
    return TorchOptimizer(name=name, arguments=arguments)


def written(value: Value) -> str:
    """Write an argument as Python does."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, tuple):
        return f"({', '.join(number(one) for one in value)})"
    return number(value)


NAMES: Final = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}

_EPSILON: Final = ("eps", 1e-8)
_DECAY: Final = ("weight_decay", 0.0)
ARGUMENTS: Final[Mapping[str, Mapping[str, tuple[str, float | bool]]]] = {
    "SGD": {
        "momentum": ("momentum", 0.0),
        "nesterov": ("nesterov", False),
        "weight_decay": _DECAY,
    },
    "Adam": {"epsilon": _EPSILON, "weight_decay": _DECAY},
    "AdamW": {"epsilon": _EPSILON, "weight_decay": ("weight_decay", 0.01)},
    "RMSprop": {
        "alpha": ("alpha", 0.99),
        "epsilon": _EPSILON,
        "momentum": ("momentum", 0.0),
        "weight_decay": _DECAY,
    },
}
"""From an option of the spec to torch's argument, and the default of the spec."""
