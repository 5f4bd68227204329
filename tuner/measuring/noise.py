"""Split steps: what the gradient noise scale is estimated from.

A global batch of B samples is split into K parts of b. With the parts' mean gradients g_k and
their mean g, a window records mean |g_k|^2 and |g|^2 (McCandlish et al. 2018,
arXiv:1812.06162, appendix A.1). The optimizer then steps by g, as it would have done anyway.

Optimizers that divide by a running root mean square see preconditioned gradients, so their
norms are taken of g / (sqrt(v) + epsilon), as in AdaptDL (Qiao et al. 2021, arXiv:2008.12260).

Where layers depend on the other samples of a micro-batch (BatchNorm) a split step is not quite
the step that it replaces: the layers see smaller micro-batches in it.

What becomes of the numbers is decided elsewhere, purely.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.optim import Optimizer

from tuner.measuring.step import TrainingStep
from tuner.records import NoiseWindow

MIN_SPLITS: Final = 4
"""Fewer parts than this say too little about their spread."""

WARMUP_SHARE: Final = 0.05
"""Share of the run before the first window: noise at the start says nothing about the rest."""


def split_count(global_batch_size: int, wanted: int) -> int | None:
    """Choose into how many equal parts a batch is split.

    Args:
        global_batch_size: Samples of the batch.
        wanted: Parts at most.

    Returns:
        The largest divisor of the batch that is at most `wanted`; None below 4.
    """
    count = max(k for k in range(1, max(wanted, 1) + 1) if global_batch_size % k == 0)
    return count if count >= MIN_SPLITS else None


def window_steps(max_steps: int, windows: int) -> frozenset[int]:
    """Choose the steps that are split, evenly spaced after the first 5 % of a run.

    Args:
        max_steps: Length of the run as it was asked for.
        windows: Windows at most.

    Returns:
        Steps, counted from 0; never the first, before which an optimizer has no state.
    """
    first = max(1, math.ceil(WARMUP_SHARE * max_steps))
    room = max_steps - first
    if windows < 1 or room < 1:
        return frozenset()
    return frozenset(first + index * room // windows for index in range(windows))


def split_step(step: TrainingStep, rows: Tensor, *, splits: int, at: int) -> NoiseWindow:
    """Compute the gradient of a global batch part by part, and the norms on the way.

    Memory: one gradient copy more than an ordinary step, for passes of at most half its
    micro-batch.

    Args:
        step: Model and optimizer; its gradients are none before, and the mean gradient of the
            batch afterwards, ready for `step.update`.
        rows: int64 (B,), the samples.
        splits: Number of parts, a divisor of B.
        at: Number of the optimizer step.

    Returns:
        The window. With unequal tokens per sample each part's gradient is the mean over its
        own tokens, and `big` that of the mean over all.
    """
    batches = step.bench.train
    scale = batches.scale(rows)
    pass_size = max(1, step.micro_batch_size // 2)
    held: list[Tensor | None] = [None] * len(step.parameters)
    norms = []
    for part in rows.chunk(splits):
        for samples in torch.split(part, pass_size):
            step.backward(samples, scale)
        # The part's share of the batch's gradient, scaled up to the part's own mean.
        share = batches.scale(part) / scale
        norms.append(squared_norm(step.optimizer) * share.double() ** 2)
        held = _taken(step.parameters, held)
    for parameter, gradient in zip(step.parameters, held, strict=True):
        parameter.grad = gradient
    whole = squared_norm(step.optimizer)
    small, big = torch.stack([torch.stack(norms).mean(), whole]).tolist()
    return NoiseWindow(
        step=at, small_batch_size=len(rows) // splits, splits=splits, small=small, big=big
    )


@torch.no_grad()
def squared_norm(optimizer: Optimizer) -> Tensor:
    """Sum the squares of all gradients, as the optimizer sees them.

    Args:
        optimizer: Its state before the step; parameters without a gradient count as zero.

    Returns:
        A float64 scalar on the device of the parameters.
    """
    norms = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            divisor = preconditioner(group, optimizer.state.get(parameter, {}))
            gradient = parameter.grad if divisor is None else parameter.grad / divisor
            norms.append(torch.linalg.vector_norm(gradient).double())
    if not norms:
        return torch.zeros((), dtype=torch.float64)
    return torch.stack(norms).square().sum()


@torch.no_grad()
def preconditioner(group: Mapping[str, Any], state: Mapping[str, Any]) -> Tensor | None:
    """Read what an optimizer divides the gradient of a parameter by.

    Args:
        group: The parameter's group: betas and epsilon.
        state: The parameter's state.

    Returns:
        sqrt(v) + epsilon, v corrected for its start where the optimizer does so; None where
        it keeps no running mean square.
    """
    if "exp_avg_sq" in state:
        correction = 1.0 - group["betas"][1] ** float(state["step"])
        return torch.sqrt(state["exp_avg_sq"] / correction).add_(float(group["eps"]))
    if "square_avg" in state:
        return torch.sqrt(state["square_avg"]).add_(float(group["eps"]))
    return None


@torch.no_grad()
def _taken(parameters: list[torch.nn.Parameter], held: list[Tensor | None]) -> list[Tensor | None]:
    """Add the gradients to those held, and leave none behind."""
    together: list[Tensor | None] = []
    for parameter, before in zip(parameters, held, strict=True):
        gradient, parameter.grad = parameter.grad, None
        if before is not None and gradient is not None:
            before.add_(gradient)
        together.append(gradient if before is None else before)
    return together
