"""Losses at many points of a plane through the weights, one by one or many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from tuner.measuring.minimum import FixedSet

Point = tuple[float, ...]
"""Coordinates along the directions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Weights, the directions from them, and the samples that the loss is taken over.

    Args:
        model: On the device, in eval mode; its parameters are at the origin.
        origin: Parameters by name that the directions move.
        directions: As many as a point has coordinates.
        chosen: The samples.
        counted: Items that they count.
    """

    model: nn.Module
    origin: Mapping[str, Tensor]
    directions: Sequence[Mapping[str, Tensor]]
    chosen: FixedSet
    counted: float

    @property
    def num_samples(self) -> int:
        """Samples of the fixed set."""
        return len(self.chosen.rows)

    def passes(self, samples_per_pass: int) -> list[slice]:
        """Cut the set into slices."""
        return [
            slice(start, min(start + samples_per_pass, self.num_samples))
            for start in range(0, self.num_samples, samples_per_pass)
        ]

    def weights_at(self, points: Sequence[Point]) -> dict[str, Tensor]:
        """Weights (P, ...) at points, by name."""
        moved = {}
        for name, start in self.origin.items():
            steps = torch.tensor(points, dtype=start.dtype, device=start.device)
            stacked = start.expand(len(points), *start.shape)
            for axis, direction in enumerate(self.directions):
                along = steps[:, axis].view(-1, *[1] * start.ndim)
                stacked = stacked + along * direction[name]
            moved[name] = stacked
        return moved


@torch.no_grad()
def losses_one_by_one(
    plane: Plane, points: Sequence[Point], *, samples_per_pass: int
) -> list[float]:
    """Evaluate the mean loss at points by putting the model there: the plain loop.

    Args:
        plane: Its model comes back to the origin.
        points: Where.
        samples_per_pass: Samples of a forward pass at most.

    Returns:
        A loss for each point; not finite where the model is not.
    """
    loss_sum = plane.chosen.loss_sum_of(plane.model)
    named = dict(plane.model.named_parameters())
    losses = []
    try:
        for point in points:
            for name, weights in plane.weights_at([point]).items():
                named[name].copy_(weights[0])
            sums = [loss_sum(part).double() for part in plane.passes(samples_per_pass)]
            losses.append(torch.stack(sums).sum())
    finally:
        for name, weights in plane.origin.items():
            named[name].copy_(weights)
    return [loss / plane.counted for loss in torch.stack(losses).tolist()]


@torch.no_grad()
def losses_stacked(plane: Plane, points: Sequence[Point], *, samples_per_pass: int) -> list[float]:
    """Evaluate the mean loss at points side by side: weights stacked, one pass for all.

    Args:
        plane: Its model is not moved.
        points: Where; the weights of all of them are in memory at once.
        samples_per_pass: Samples of a forward pass at most.

    Returns:
        As `losses_one_by_one`, up to rounding.

    Raises:
        Exception: Whatever `torch.func.vmap` raises on a model that cannot be mapped.
    """
    module = _Scoring(plane)
    weights = {f"model.{name}": stack for name, stack in plane.weights_at(points).items()}
    sums = torch.zeros(len(points), dtype=torch.float64, device=plane.chosen.bench.device)
    # Fused attention cannot be mapped over a stack; the plain formula can.
    with sdpa_kernel(SDPBackend.MATH):
        for part in plane.passes(samples_per_pass):
            fetched = plane.chosen.bench.train.fetch(plane.chosen.rows[part])
            sums += vmap(lambda mine, of=fetched: functional_call(module, mine, of))(weights)
    return [loss / plane.counted for loss in sums.tolist()]


class _Scoring(nn.Module):
    """A model with its criterion as one module, whose tensors can be exchanged for a call."""

    def __init__(self, plane: Plane) -> None:
        super().__init__()
        self.model = plane.model
        self._criterion = plane.chosen.bench.criterion

    def forward(self, inputs: Tensor, targets: Tensor | None) -> Tensor:
        """Sum the loss over samples."""
        return self._criterion.loss_sum(self.model, inputs, targets)
