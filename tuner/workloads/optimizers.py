"""Optimizers, from the `optimizer` of a spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop, Rprop

Build = Callable[[Mapping[str, Any], list[torch.nn.Parameter], float, bool | None], Optimizer]
"""From the options, the parameters, the rate and `foreach` to an optimizer."""


def build_optimizer(
    training: Mapping[str, Any],
    model: torch.nn.Module,
    learning_rate: float,
    *,
    foreach: bool | None = None,
) -> Optimizer:
    """Make the optimizer of a training, over all parameters that want a gradient.

    `fused` stays at torch's own default. All parameters form one group: weight decay holds for
    biases and norms too.

    Args:
        training: `training` of the workload.
        model: Whose parameters are trained; already on its device.
        learning_rate: Per optimizer step; a schedule writes it anew before each step.
        foreach: Update many tensors at once, or one after the other; None for torch's own
            default: at once on CUDA, in a loop on the CPU.

    Returns:
        A fresh optimizer without state.
    """
    options = training["optimizer"]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return OPTIMIZERS[str(options["kind"])](options, parameters, learning_rate, foreach)


def _sgd(
    options: Mapping[str, Any],
    parameters: list[torch.nn.Parameter],
    learning_rate: float,
    foreach: bool | None,  # noqa: FBT001 - the signature of every builder
) -> Optimizer:
    return SGD(
        parameters,
        lr=learning_rate,
        momentum=float(options.get("momentum", 0.0)),
        nesterov=bool(options.get("nesterov", False)),
        weight_decay=float(options.get("weight_decay", 0.0)),
        foreach=foreach,
    )


def _adam(
    options: Mapping[str, Any],
    parameters: list[torch.nn.Parameter],
    learning_rate: float,
    foreach: bool | None,  # noqa: FBT001 - the signature of every builder
) -> Optimizer:
    return Adam(
        parameters,
        lr=learning_rate,
        betas=_betas(options),
        eps=float(options.get("epsilon", 1e-8)),
        weight_decay=float(options.get("weight_decay", 0.0)),
        foreach=foreach,
    )


def _adamw(
    options: Mapping[str, Any],
    parameters: list[torch.nn.Parameter],
    learning_rate: float,
    foreach: bool | None,  # noqa: FBT001 - the signature of every builder
) -> Optimizer:
    return AdamW(
        parameters,
        lr=learning_rate,
        betas=_betas(options),
        eps=float(options.get("epsilon", 1e-8)),
        weight_decay=float(options.get("weight_decay", 0.01)),
        foreach=foreach,
    )


def _rmsprop(
    options: Mapping[str, Any],
    parameters: list[torch.nn.Parameter],
    learning_rate: float,
    foreach: bool | None,  # noqa: FBT001 - the signature of every builder
) -> Optimizer:
    return RMSprop(
        parameters,
        lr=learning_rate,
        alpha=float(options.get("alpha", 0.99)),
        eps=float(options.get("epsilon", 1e-8)),
        momentum=float(options.get("momentum", 0.0)),
        weight_decay=float(options.get("weight_decay", 0.0)),
        foreach=foreach,
    )


def _rprop(
    options: Mapping[str, Any],
    parameters: list[torch.nn.Parameter],
    learning_rate: float,
    foreach: bool | None,  # noqa: FBT001 - the signature of every builder
) -> Optimizer:
    return Rprop(
        parameters,
        lr=learning_rate,
        etas=(float(options.get("eta_minus", 0.5)), float(options.get("eta_plus", 1.2))),
        step_sizes=(
            float(options.get("smallest_step", 1e-6)),
            float(options.get("largest_step", 50.0)),
        ),
        foreach=foreach,
    )


def _betas(options: Mapping[str, Any]) -> tuple[float, float]:
    return float(options.get("beta1", 0.9)), float(options.get("beta2", 0.999))


OPTIMIZERS: Mapping[str, Build] = MappingProxyType(
    {"sgd": _sgd, "adam": _adam, "adamw": _adamw, "rmsprop": _rmsprop, "rprop": _rprop}
)
"""From the `kind` of an optimizer to what makes it."""
