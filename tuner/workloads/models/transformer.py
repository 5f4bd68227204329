"""A pre-norm transformer (Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020,
arXiv:2002.04745): causal for language models, mean-pooled for the other tasks.
"""  # noqa: D205 - two papers make a long first sentence

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import nn
from torch.nn import functional

from tuner.workloads.models.blocks import Blocks

if TYPE_CHECKING:
    from tuner.workloads.models.blueprint import Blueprint

IMAGE_NDIM: Final = 3
EXPANSION: Final = 4
"""Width of the feed-forward layer in multiples of the residual stream."""


class Attention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: Width of the residual stream.
        heads: Attention heads; divides the width.
        causal: Let no position see a later one.
        eager: Compute the weights openly instead of by the fused kernel.
    """

    def __init__(self, *, width: int, heads: int, causal: bool, eager: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.eager = eager
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Mix positions.

        Args:
            hidden: (N, L, width).
            mask: bool, broadcastable to (N, heads, L, L), True where attention may go; None
                leaves it to `causal`, which lets the fastest kernel run.

        Returns:
            (N, L, width).
        """
        samples, length, width = hidden.shape
        packed = self.project_in(hidden).view(samples, length, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        attend = _attend if self.eager else functional.scaled_dot_product_attention
        mixed = attend(query, key, value, attn_mask=mask, is_causal=self.causal and mask is None)
        out: torch.Tensor = self.project_out(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and a feed-forward layer, each normalised before and added to its input."""

    def __init__(
        self, *, width: int, heads: int, dropout: float, causal: bool, eager: bool
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width=width, heads=heads, causal=causal, eager=eager)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, EXPANSION * width), nn.GELU(), nn.Linear(EXPANSION * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Go one block further: (N, L, width) to (N, L, width)."""
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), mask))
        deeper: torch.Tensor = hidden + self.dropout(self.feed_forward(self.forward_norm(hidden)))
        return deeper


class Transformer(nn.Module):
    """Embedding, blocks, a last norm and a linear head.

    Args:
        embedding: Turns a sample's positions into the residual stream.
        length: Positions per sample.
        blocks: The blocks.
        width: Width of the residual stream.
        output_size: Scores per sample, or per position if causal.
        causal: Let no position see a later one, and score every position.
    """

    def __init__(
        self,
        *,
        embedding: nn.Module,
        length: int,
        blocks: Blocks,
        width: int,
        output_size: int,
        causal: bool,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, output_size)
        self.causal = causal

    def forward(
        self, inputs: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Score samples or positions.

        Args:
            inputs: int64 token ids (N, L), or floats: (N, L, features), images (N, channels,
                height, width) read pixel by pixel, or rows of numbers (N, L).
            attention_mask: (N, L), nonzero where a position is real.

        Returns:
            (N, output_size), or (N, L, output_size) if causal.
        """
        hidden = self.embedding(_sequence(inputs)) + self.positions
        mask = _causal_mask(attention_mask) if self.causal and attention_mask is not None else None
        hidden = self.norm(self.blocks(hidden, mask))
        if not self.causal:
            hidden = hidden.mean(dim=1)
        scores: torch.Tensor = self.head(hidden)
        return scores


def build_transformer(blueprint: Blueprint) -> nn.Module:
    """Build a transformer from the `options` of its spec."""
    options = blueprint.model.get("options", {})
    width, heads = int(options.get("width", 64)), int(options.get("heads", 4))
    causal = blueprint.task == "causal_lm"
    blocks = [
        Block(
            width=width,
            heads=heads,
            dropout=float(options.get("dropout", 0.0)),
            causal=causal,
            eager=blueprint.attention == "eager",
        )
        for _ in range(int(options.get("depth", 2)))
    ]
    return Transformer(
        embedding=_embedding(blueprint, width),
        length=_length(blueprint.input_shape),
        blocks=Blocks(blocks, checkpointing=blueprint.checkpointing),
        width=width,
        output_size=blueprint.output_size,
        causal=causal,
    )


def _embedding(blueprint: Blueprint, width: int) -> nn.Module:
    if blueprint.vocabulary_size is not None:
        embedding = nn.Embedding(blueprint.vocabulary_size, width)
        nn.init.normal_(embedding.weight, std=0.02)
        return embedding
    shape = blueprint.input_shape
    features = {1: 1, 2: shape[-1], IMAGE_NDIM: shape[0]}.get(len(shape), shape[-1])
    return nn.Linear(features, width)


def _length(shape: tuple[int, ...]) -> int:
    if len(shape) == 1:
        return shape[0]
    return math.prod(shape[1:] if len(shape) == IMAGE_NDIM else shape[:-1])


def _sequence(inputs: torch.Tensor) -> torch.Tensor:
    if not inputs.is_floating_point():
        return inputs
    axes = inputs.ndim - 1
    if axes == 1:
        return inputs.unsqueeze(-1)
    if axes == IMAGE_NDIM:
        return inputs.flatten(2).transpose(1, 2)
    return inputs.flatten(1, -2)


def _earlier(length: int, device: torch.device) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def _causal_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """Combine padding (N, L) with causality; every position sees itself, lest a row be empty."""
    length, device = attention_mask.shape[1], attention_mask.device
    itself = torch.eye(length, dtype=torch.bool, device=device)
    return (_earlier(length, device) & (attention_mask[:, None, None, :] != 0)) | itself


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    attn_mask: torch.Tensor | None,
    is_causal: bool,
) -> torch.Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    mask = _earlier(query.shape[-2], query.device) if is_causal else attn_mask
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ value
