"""The model: a residual network over Fourier features."""

from __future__ import annotations

import math

import torch
from torch import nn


class Residual(nn.Module):
    """Two layers beside a shortcut: (N, width) to (N, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Add what the layers see."""
        return hidden + self.inner(hidden)


class FourierNet(nn.Module):
    """Sines of random projections, residual blocks, a linear head."""

    def __init__(self, inputs: int, outputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(inputs, width // 2))
        self.blocks = nn.Sequential(*[Residual(width) for _ in range(depth)])
        self.head = nn.Linear(width, outputs)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Score points: (N, inputs) to (N, outputs)."""
        phase = points @ self.frequencies
        features = torch.cat([phase.sin(), phase.cos()], dim=-1) * math.sqrt(2.0)
        return self.head(self.blocks(features))


def build(
    input_shape: tuple[int, ...], output_size: int, width: int = 64, depth: int = 2
) -> nn.Module:
    """Build the network; batchscout fills in the sizes that the data dictate."""
    return FourierNet(input_shape[0], output_size, width, depth)
