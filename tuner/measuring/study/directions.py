"""Random directions in the units of a model's filters (Li et al. 2018, arXiv:1712.09913)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from tuner.measuring.random_state import derived_seed

FILTER_NDIM: Final = 2
"""Parameters with fewer axes have no filters: biases and the scales of normalisation layers."""


def filter_normalised(model: nn.Module, seed: int, number: int) -> dict[str, Tensor]:
    """Draw a direction, each filter of it as long as that of the weights.

    A filter is what makes one output: a row of a linear layer or an embedding, the kernel of one
    output channel of a convolution. So a step is the same share of every filter, and a network
    whose weights were merely rescaled looks the same.

    Args:
        model: Its weights of the moment give the lengths.
        seed: The direction follows from it and `number`, whatever the device and the weights.
        number: Which direction.

    Returns:
        A tensor like each trainable parameter that has filters, by name, where that is; in
        all other parameters the direction is zero.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "direction", number))
    return {
        name: _normalised(parameter.detach(), generator)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.ndim >= FILTER_NDIM
    }


def _normalised(weights: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(weights.shape, generator=generator).to(weights)
    lengths, own = (each.flatten(1).norm(dim=1) for each in (weights, drawn))
    ratio = lengths / own.clamp_min(torch.finfo(own.dtype).tiny)
    scaled: Tensor = drawn * ratio.view(-1, *[1] * (weights.ndim - 1))
    return scaled
