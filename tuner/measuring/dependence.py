"""What the score of a sample depends on, found by trying."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tuner.workloads.forward import logits_of
from tuner.workloads.randomness import seeded

if TYPE_CHECKING:
    from tuner.workloads.data import Data

RELATIVE: Final = 1e-3
"""Relative change of scores that counts as dependence; rounding stays far below it."""

SEED: Final = 0

TRIED: Final = 3
"""Samples to try: one, and two neighbours for it."""

UNNAMED: Final = "(model)"
"""Stands for a dependence that no known layer explains."""


def batch_dependent_layers(
    model: torch.nn.Module, data: Data, device: torch.device
) -> tuple[str, ...]:
    """Name the layers that let samples of a micro-batch see each other while training.

    Known kinds are found by their type. Any other kind is found by putting the same sample
    beside two different neighbours, dropout drawing the same numbers both times.

    Args:
        model: On the device; running statistics may change, weights do not.
        data: Samples to try.
        device: Where the model is.

    Returns:
        Dotted names; `("(model)",)` where scores depend on neighbours and no layer is known
        to do that; empty for most models.
    """
    model.train()
    named = tuple(
        name or UNNAMED
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.training
    )
    if named:
        return named
    samples = _tokens(data)
    if len(samples) < TRIED:
        return ()
    one, two = (_scores(model, samples[rows].to(device)) for rows in ([0, 1], [0, 2]))
    return (UNNAMED,) if _differ(one[0], two[0]) else ()


def sees_the_future(model: torch.nn.Module, data: Data, device: torch.device) -> bool:
    """Say whether a language model's scores of a position change with a later token.

    Args:
        model: On the device; weights do not change.
        data: Samples to try.
        device: Where the model is.

    Returns:
        True for a model that is not causal.
    """
    model.eval()
    tokens = _tokens(data)[:2].to(device)
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % data.output_size
    one, two = _scores(model, tokens)[:, :-1], _scores(model, changed)[:, :-1]
    model.train()
    return _differ(one, two)


def _tokens(data: Data) -> torch.Tensor:
    inputs = data.train.inputs[:TRIED]
    return inputs if inputs.is_floating_point() else inputs.clamp(min=0)


def _scores(model: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), seeded(SEED):
        return logits_of(model, inputs).float()


def _differ(one: torch.Tensor, two: torch.Tensor) -> bool:
    scale = float(one.abs().max()) + torch.finfo(torch.float32).tiny
    return float((one - two).abs().max()) > RELATIVE * scale
