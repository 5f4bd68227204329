"""Forward and backward passes of many models at once: `torch.func` maps one over a stack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

Score = Callable[[nn.Module, Tensor, Tensor | None], Tensor]
"""From a model and a micro-batch to a sum over its counted items."""

TRACE_AFTER: Final = 30
"""Passes of one shape before they are traced: small models spend most of a mapped pass on the
mapping itself, and a trace costs what it then saves in one to two hundred passes."""

Data = tuple[Tensor, Tensor | None, Tensor]
"""Inputs, targets and scale of one micro-batch."""

Named = Mapping[str, Tensor]
"""Tensors by name, each with a leading axis of replicas."""


class Passes:
    """Passes of one model, its tensors exchanged for those of each replica.

    Args:
        outline: A model; what its weights and buffers hold is never read.
        loss_sum: The criterion's loss.
        has_targets: Whether samples come with targets.
        traces: Passes of the workload that were written down already; more are added.
    """

    def __init__(
        self,
        outline: nn.Module,
        loss_sum: Score,
        *,
        has_targets: bool,
        traces: dict[Hashable, Callable[..., Any]],
    ) -> None:
        self._outline = outline
        self._of_shared = self._gradient_function(loss_sum, of_data=None, has_targets=has_targets)
        self._of_own = self._gradient_function(loss_sum, of_data=0, has_targets=has_targets)
        self._seen: Counter[Hashable] = Counter()
        self._traces = traces
        self.trace_after = TRACE_AFTER

    def gradient(
        self, trained: Named, others: Named, data: Data, *, shared: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Compute the gradient of a scaled loss sum for every replica.

        Args:
            trained: Weights that a gradient is wanted of.
            others: Buffers, and weights that are not trained.
            data: Of the micro-batch; with an axis of replicas unless `shared`.
            shared: All replicas see the same samples.

        Returns:
            Gradients, and what the pass has made of `others` (running statistics).
        """
        function = self._of_shared if shared else self._of_own
        replicas = len(next(iter(trained.values())))
        shape = (replicas, shared, data[0].shape)
        given = [each for each in data if each is not None]
        self._seen[shape] += 1
        if self._seen[shape] >= self.trace_after and shape not in self._traces:
            self._traces[shape] = _traced(function, trained, others, data)
        with _mapped(), torch.no_grad():
            if shape in self._traces:
                gradients, after = self._traces[shape](trained, others, *given)
            else:
                gradients, after = function(trained, others, *data)
        return gradients, after

    def summed(
        self, weights: Named, score: Score, inputs: Tensor, targets: Tensor | None
    ) -> Tensor:
        """Sum a score over a micro-batch that all replicas see, in eval mode.

        Args:
            weights: All weights and buffers.
            score: For example `criterion.loss_sum`.
            inputs: (n, ...).
            targets: (n, ...) or None.

        Returns:
            (R,).
        """
        module = _Scoring(self._outline, score)

        def one(mine: Named) -> Tensor:
            return _call(module, mine, inputs, targets)

        self._outline.eval()
        with _mapped(), torch.no_grad():
            summed: Tensor = vmap(one)(weights)
        self._outline.train()
        return summed

    def _gradient_function(
        self, loss_sum: Score, *, of_data: int | None, has_targets: bool
    ) -> Callable[..., Any]:
        module = _Scoring(self._outline, loss_sum)

        def loss(
            trained: Named, others: Named, inputs: Tensor, targets: Tensor | None, scale: Tensor
        ) -> tuple[Tensor, dict[str, Tensor]]:
            # Layers write their running statistics in place; what they write to is a copy.
            written = {name: value.clone() for name, value in others.items()}
            summed = _call(module, {**trained, **written}, inputs, targets)
            return summed * scale, written

        # Replicas draw the same dropout: those that are stacked with it share their seed.
        return vmap(
            grad(loss, has_aux=True),
            in_dims=(0, 0, of_data, of_data if has_targets else None, of_data),
            randomness="same",
        )


class _Scoring(nn.Module):
    """A model with a score as one module, whose tensors can be exchanged for a call."""

    def __init__(self, model: nn.Module, score: Score) -> None:
        super().__init__()
        self.model = model
        self._score = score

    def forward(self, inputs: Tensor, targets: Tensor | None) -> Tensor:
        """Score a micro-batch: a scalar."""
        return self._score(self.model, inputs, targets)


def _call(module: nn.Module, tensors: Named, inputs: Tensor, targets: Tensor | None) -> Tensor:
    named = {f"model.{name}": value for name, value in tensors.items()}
    out: Tensor = functional_call(module, named, (inputs, targets))
    return out


def _traced(
    function: Callable[..., Any], trained: Named, others: Named, data: Data
) -> Callable[..., Any]:
    """Write a mapped pass down as the plain operations that it comes to."""

    def plain(trained: Named, others: Named, inputs: Tensor, *rest: Tensor) -> Any:
        targets, scale = rest if len(rest) > 1 else (None, rest[0])
        return function(trained, others, inputs, targets, scale)

    # The pass is run once to be written down; what it draws for that is given back.
    device = data[0].device
    cards = [device] if device.type == "cuda" else []
    with _mapped(), torch.no_grad(), torch.random.fork_rng(devices=cards):
        written: Callable[..., Any] = make_fx(plain)(
            trained, others, *(each for each in data if each is not None)
        )
    return written


@contextmanager
def _mapped() -> Iterator[None]:
    """Let attention be computed openly: its fused kernels cannot be mapped over a stack."""
    with sdpa_kernel(SDPBackend.MATH):
        yield
