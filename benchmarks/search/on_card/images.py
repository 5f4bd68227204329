"""Generated images that take some learning: warped textures, half hidden, in noise.

A class has a few prototypes, each a sum of coloured waves. An image is one of them, turned,
scaled and shifted at random, with a prototype of another class faintly over it and noise on
top. A share of the labels is wrong, in training and validation alike, so that the loss has a
floor above 0. The same seed gives the same images on the same processor.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch.nn import functional

WAVES: Final = 5
"""Waves of each prototype."""

PROTOTYPES: Final = 3
"""Prototypes of each class."""

LARGEST_TURN: Final = 0.4
"""Radians to either side."""

SCALES: Final = (0.75, 1.35)
LARGEST_SHIFT: Final = 0.3
"""Of half a side."""

FAINTEST: Final = 0.7
"""Least share of the contrast that the image's own class has; the rest is another class's."""

NOISE: Final = 0.4
"""Standard deviation of the noise, where a prototype has 1."""

WRONG_LABELS: Final = 0.05
CHUNK: Final = 2048
"""Images made at once."""


def write_images(
    path: Path,
    *,
    train: int,
    validation: int,
    side: int,
    classes: int,
    finest: float,
    seed: int,
) -> None:
    """Make a data set and write it as `x_train`, `y_train`, `x_val` and `y_val`.

    Args:
        path: An npz file.
        train: Training images.
        validation: Validation images.
        side: Pixels along each side.
        classes: How many there are.
        finest: Periods of the finest wave along a side of an image, about.
        seed: Of everything that is drawn.
    """
    draw = torch.Generator().manual_seed(seed)
    textures = _textures(2 * side, classes, finest, draw)
    x, y = [], []
    for begin in range(0, train + validation, CHUNK):
        count = min(CHUNK, train + validation - begin)
        images, labels = _images(textures, count, side, draw)
        x.append(images)
        y.append(labels)
    images, labels = np.concatenate(x), np.concatenate(y)
    np.savez(
        path,
        x_train=images[:train],
        y_train=labels[:train],
        x_val=images[train:],
        y_val=labels[train:],
    )


def _textures(side: int, classes: int, finest: float, draw: torch.Generator) -> torch.Tensor:
    """Draw the prototypes: float32 (classes, PROTOTYPES, 3, side, side), deviation 1."""
    shape = (classes, PROTOTYPES, WAVES)
    # A prototype is twice as wide as an image, which therefore sees a part of it.
    frequency = (0.5 + finest * torch.rand(shape, generator=draw)) * 2.0 * math.pi
    direction = 2.0 * math.pi * torch.rand(shape, generator=draw)
    phase = 2.0 * math.pi * torch.rand(shape, generator=draw)
    colour = torch.randn((*shape, 3), generator=draw)
    place = torch.linspace(-1.0, 1.0, side)
    along = (
        frequency[..., None, None]
        * (
            torch.cos(direction)[..., None, None] * place[None, :]
            + torch.sin(direction)[..., None, None] * place[:, None]
        )
        + phase[..., None, None]
    )
    waves = torch.einsum("kpwc,kpwij->kpcij", colour, torch.sin(along))
    return waves / waves.std(dim=(-3, -2, -1), keepdim=True)


def _images(
    textures: torch.Tensor, count: int, side: int, draw: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images, uint8 (count, 3, side, side), and labels, int64 (count,)."""
    classes = len(textures)
    labels = torch.randint(classes, (count,), generator=draw)
    others = (labels + torch.randint(1, classes, (count,), generator=draw)) % classes
    share = FAINTEST + (1.0 - FAINTEST) * torch.rand((count, 1, 1, 1), generator=draw)
    mixed = share * _warped(textures, labels, side, draw)
    mixed += (1.0 - share) * _warped(textures, others, side, draw)
    mixed += NOISE * torch.randn(mixed.shape, generator=draw)
    pixels = (128.0 + 40.0 * mixed).clamp(0.0, 255.0).to(torch.uint8)
    wrong = torch.rand(count, generator=draw) < WRONG_LABELS
    told = torch.where(wrong, torch.randint(classes, (count,), generator=draw), labels)
    return pixels.numpy(), told.numpy()


def _warped(
    textures: torch.Tensor, labels: torch.Tensor, side: int, draw: torch.Generator
) -> torch.Tensor:
    """Turn, scale and shift one prototype of each label: (N, 3, side, side)."""
    count = len(labels)
    which = torch.randint(textures.shape[1], (count,), generator=draw)
    turn = LARGEST_TURN * (2.0 * torch.rand(count, generator=draw) - 1.0)
    scale = 0.5 * (SCALES[0] + (SCALES[1] - SCALES[0]) * torch.rand(count, generator=draw))
    shift = LARGEST_SHIFT * (2.0 * torch.rand((count, 2), generator=draw) - 1.0)
    cosine, sine = scale * torch.cos(turn), scale * torch.sin(turn)
    rows = [torch.stack([cosine, -sine, shift[:, 0]], dim=1)]
    rows.append(torch.stack([sine, cosine, shift[:, 1]], dim=1))
    places = functional.affine_grid(
        torch.stack(rows, dim=1), [count, 3, side, side], align_corners=False
    )
    return functional.grid_sample(
        textures[labels, which], places, padding_mode="reflection", align_corners=False
    )
