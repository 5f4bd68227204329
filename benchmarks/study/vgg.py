"""A network after VGG16 for small images, as people's own code would bring it.

Simonyan and Zisserman 2014, arXiv:1409.1556: stages of two convolutions and a max-pool, then two
dense layers and the output. There is no normalisation, as there was none in the published study.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def vgg(
    input_shape: tuple[int, ...],
    output_size: int,
    widths: Sequence[int] = (32, 64, 128),
    dense: int = 256,
) -> nn.Module:
    """Build the network.

    Args:
        input_shape: (channels, height, width) of one image; each stage halves both sides.
        output_size: Classes.
        widths: Channels of each stage.
        dense: Width of both dense layers.

    Returns:
        A module from (N, channels, height, width) to (N, output_size).
    """
    before, height, width = input_shape
    layers: list[nn.Module] = []
    for channels in widths:
        layers += [*_convolution(before, channels), *_convolution(channels, channels)]
        layers.append(nn.MaxPool2d(2))
        before, height, width = channels, height // 2, width // 2
    layers += [nn.Flatten(), nn.Linear(before * height * width, dense), nn.ReLU()]
    layers += [nn.Linear(dense, dense), nn.ReLU(), nn.Linear(dense, output_size)]
    network = nn.Sequential(*layers)
    network.apply(_start)
    return network


def _convolution(before: int, after: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(before, after, 3, padding=1), nn.ReLU()


def _start(layer: nn.Module) -> None:
    """Keep the variance of what goes through (He et al. 2015, arXiv:1502.01852)."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            with torch.no_grad():
                layer.bias.zero_()
