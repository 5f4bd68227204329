"""A residual network for small images, as people's own code would bring it.

He et al. 2015, arXiv:1512.03385, with the first layer that is usual for 32 pixels (3 x 3, no
pooling). Groups are normalised (Wu and He 2018, arXiv:1803.08494) instead of batches, so that
the steps to a target depend on the global batch alone, however it is cut into passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions, added to what came in.

    Args:
        channels_in: Channels before.
        channels: Channels after.
        stride: Of the first convolution.
        groups: Groups that are normalised; divides the channels.
    """

    def __init__(self, *, channels_in: int, channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            _convolution(channels_in, channels, stride),
            nn.GroupNorm(groups, channels),
            nn.ReLU(),
            _convolution(channels, channels, 1),
            nn.GroupNorm(groups, channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False),
                nn.GroupNorm(groups, channels),
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Go one block further: (N, channels_in, H, W) to (N, channels, H / stride, W / stride)."""
        return torch.relu(self.path(images) + self.shortcut(images))


def resnet(
    input_shape: tuple[int, ...],
    output_size: int,
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (2, 2, 2, 2),
    groups: int = 32,
) -> nn.Module:
    """Build the network.

    Args:
        input_shape: (channels, height, width) of one image.
        output_size: Classes.
        widths: Channels of each stage; each stage but the first halves height and width.
        depths: Blocks of each stage.
        groups: Groups that are normalised.

    Returns:
        A module from (N, channels, height, width) to (N, output_size).
    """
    layers: list[nn.Module] = [
        _convolution(input_shape[0], widths[0], 1),
        nn.GroupNorm(groups, widths[0]),
        nn.ReLU(),
    ]
    before = widths[0]
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for index in range(depth):
            stride = 2 if stage and not index else 1
            layers.append(Block(channels_in=before, channels=width, stride=stride, groups=groups))
            before = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, output_size)]
    return nn.Sequential(*layers, *head)


def _convolution(channels_in: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
