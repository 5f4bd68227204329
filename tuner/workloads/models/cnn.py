"""A convolutional network for images."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from tuner.errors import InvalidWorkload
from tuner.workloads.models.blocks import Blocks

if TYPE_CHECKING:
    from tuner.workloads.models.blueprint import Blueprint

MOMENTUM: Final = 0.1
"""Weight of the newest batch in BatchNorm's running statistics, torch's default."""

IMAGE_NDIM: Final = 3
"""Axes of one image: channels, height, width."""


class Cnn(nn.Module):
    """Convolution, ReLU and max-pool blocks, and a linear head over the last map.

    A block pools only while both sides of its map have at least two pixels, so that small
    images take as many blocks as large ones.

    Args:
        image_shape: (channels, height, width) of one image.
        channels: Channels of each block.
        output_size: Scores per image.
        batch_norm: Normalise after each convolution.
        dropout: Share of features dropped before the head.
        checkpointing: Compute activations again in the backward pass.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        channels: list[int],
        output_size: int,
        batch_norm: bool,
        dropout: float,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        depth, height, width = image_shape
        # A checkpointed block runs forward twice, and twice updates its running statistics:
        # with this momentum two updates by one batch equal one.
        momentum = 1.0 - math.sqrt(1.0 - MOMENTUM) if checkpointing else MOMENTUM
        blocks = []
        for before, after in pairwise([depth, *channels]):
            pools = min(height, width) > 1
            norm = nn.BatchNorm2d(after, momentum=momentum) if batch_norm else None
            blocks.append(_block(before, after, norm=norm, pools=pools))
            if pools:
                height, width = height // 2, width // 2
        self.blocks = Blocks(blocks, checkpointing=checkpointing)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1] * height * width, output_size)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Score images.

        Args:
            inputs: (N, channels, height, width).

        Returns:
            (N, output_size).
        """
        features = self.blocks(inputs).flatten(1)
        scores: torch.Tensor = self.head(self.dropout(features))
        return scores


def build_cnn(blueprint: Blueprint) -> nn.Module:
    """Build a convolutional network from the `options` of its spec.

    Raises:
        InvalidWorkload: The samples are no images of shape (channels, height, width).
    """
    shape = blueprint.input_shape
    if len(shape) != IMAGE_NDIM or blueprint.task == "causal_lm":
        raise InvalidWorkload(
            f"The cnn needs images of shape (channels, height, width), not {shape}.",
            code="shape_mismatch",
            pointer="/model/name",
        )
    options = blueprint.model.get("options", {})
    return Cnn(
        image_shape=(shape[0], shape[1], shape[2]),
        channels=list(options.get("channels", [16, 32])),
        output_size=blueprint.output_size,
        batch_norm=bool(options.get("batch_norm", False)),
        dropout=float(options.get("dropout", 0.0)),
        checkpointing=blueprint.checkpointing,
    )


def _block(before: int, after: int, *, norm: nn.Module | None, pools: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(before, after, kernel_size=3, padding=1)]
    if norm is not None:
        layers.append(norm)
    layers.append(nn.ReLU())
    if pools:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
