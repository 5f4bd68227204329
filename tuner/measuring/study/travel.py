"""How far weights travel: from their initial values, over an epoch, and in single updates."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from tuner.records import LayerDistance

LOOKS_PER_EPOCH: Final = 64
"""Steps of an epoch whose norms are taken at most, evenly spaced: a median needs no more, and a
batch of one would else spend more on norms than on training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTravel:
    """What an epoch did to the weights; norms are None if none was taken."""

    distance: float
    epoch_distance: float
    update_norm: float | None
    gradient_norm: float | None


def looked_at(first: int, end: int) -> frozenset[int]:
    """Choose the steps of an epoch whose norms are taken.

    Args:
        first: The epoch's first step, counted from 0.
        end: The step after its last.

    Returns:
        All of them, or as many as `LOOKS_PER_EPOCH`, evenly spaced.
    """
    steps = end - first
    looks = min(steps, LOOKS_PER_EPOCH)
    return frozenset(first + index * steps // looks for index in range(looks))


class Travel:
    """Follows the trainable weights of a model; what it compares them with lies on the host.

    Args:
        model: With its initial weights.
    """

    def __init__(self, model: nn.Module) -> None:
        self._names, self._parameters = zip(
            *((name, p) for name, p in model.named_parameters() if p.requires_grad), strict=True
        )
        self._initial = _held(self._parameters)
        self._epoch_start = self._initial
        self._before: list[Tensor] | None = None
        self._gradient_norms: list[Tensor] = []
        self._update_norms: list[Tensor] = []

    @torch.no_grad()
    def before_update(self) -> None:
        """Take the norm of the gradient, and remember the weights for that of the update."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        before = [parameter.detach().clone() for parameter in self._parameters]
        self._gradient_norms.append(_norm(gradients))
        self._before = before

    @torch.no_grad()
    def after_update(self) -> None:
        """Take the norm of the update."""
        if self._before is not None:
            for before, parameter in zip(self._before, self._parameters, strict=True):
                before.sub_(parameter)
            self._update_norms.append(_norm(self._before))
            self._before = None

    def close_epoch(self) -> EpochTravel:
        """Tell what the epoch did, and begin the next."""
        now = _held(self._parameters)
        told = EpochTravel(
            distance=_distance(now, self._initial),
            epoch_distance=_distance(now, self._epoch_start),
            update_norm=_median(self._update_norms),
            gradient_norm=_median(self._gradient_norms),
        )
        self._epoch_start = now
        self._gradient_norms, self._update_norms = [], []
        return told

    def layers(self, state: Mapping[str, Tensor]) -> tuple[LayerDistance, ...]:
        """Tell how far each parameter tensor of some weights is from its initial values.

        Args:
            state: Weights by name, on the host.
        """
        return tuple(
            LayerDistance(
                name=name,
                distance=_distance([state[name]], [initial]),
                initial_norm=float(_norm([initial])),
            )
            for name, initial in zip(self._names, self._initial, strict=True)
        )

    def state(self) -> dict[str, Any]:
        """Say where it stands within the epoch, as tensors and plain values."""
        return {
            "epoch_start": list(self._epoch_start),
            "gradient_norms": _read(self._gradient_norms),
            "update_norms": _read(self._update_norms),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` told."""
        self._epoch_start = state["epoch_start"]
        self._gradient_norms, self._update_norms = (
            [torch.tensor(norm, dtype=torch.float64) for norm in state[part]]
            for part in ("gradient_norms", "update_norms")
        )


def _held(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().to("cpu", copy=True) for parameter in parameters]


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all tensors together: a float64 scalar where they are."""
    if not tensors:
        return torch.zeros((), dtype=torch.float64)
    norms = [torch.linalg.vector_norm(tensor).double() for tensor in tensors]
    return torch.stack(norms).square().sum().sqrt()


def _distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return float(_norm([a - b for a, b in zip(one, other, strict=True)]))


def _read(norms: Sequence[Tensor]) -> list[float]:
    device = norms[-1].device if norms else None
    return torch.stack([norm.to(device) for norm in norms]).tolist() if norms else []


def _median(norms: Sequence[Tensor]) -> float | None:
    return statistics.median(_read(norms)) if norms else None
