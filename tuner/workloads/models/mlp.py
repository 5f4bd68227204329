"""A multi-layer perceptron."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from tuner.workloads.models.blocks import Blocks

if TYPE_CHECKING:
    from tuner.workloads.models.blueprint import Blueprint


class Mlp(nn.Module):
    """Linear, ReLU and dropout, and a linear head.

    Args:
        widths: Width of the input, then of each hidden layer.
        output_size: Scores per sample.
        dropout: Share of activations dropped after each hidden layer.
        checkpointing: Compute activations again in the backward pass.
    """

    def __init__(
        self, *, widths: list[int], output_size: int, dropout: float, checkpointing: bool
    ) -> None:
        super().__init__()
        self.blocks = Blocks(
            [
                nn.Sequential(nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout))
                for narrow, wide in pairwise(widths)
            ],
            checkpointing=checkpointing,
        )
        self.head = nn.Linear(widths[-1], output_size)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Score samples.

        Args:
            inputs: (N, ...); flattened, integers taken as numbers.

        Returns:
            (N, output_size).
        """
        flat = inputs.flatten(1).to(self.head.weight.dtype)
        scores: torch.Tensor = self.head(self.blocks(flat))
        return scores


def build_mlp(blueprint: Blueprint) -> nn.Module:
    """Build a perceptron from the `options` of its spec."""
    options = blueprint.model.get("options", {})
    return Mlp(
        widths=[math.prod(blueprint.input_shape), *options.get("hidden", [64])],
        output_size=blueprint.output_size,
        dropout=float(options.get("dropout", 0.0)),
        checkpointing=blueprint.checkpointing,
    )
