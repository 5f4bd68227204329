"""Split steps of a stack: the noise window of every replica at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tuner.measuring.noise import preconditioner
from tuner.measuring.stacking.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedWindow:
    """Squared gradient norms of one step of every replica, as `NoiseWindow` has them of one.

    Args:
        small: Mean over parts of the squared norm of the part's mean gradient, one value for
            each replica.
        big: Squared norm of the mean gradient over all parts, one value for each replica.
    """

    small: tuple[float, ...]
    big: tuple[float, ...]


def split_step(stack: Stack, rows: Tensor, *, splits: int) -> tuple[list[Tensor], StackedWindow]:
    """Compute the gradient of a global batch part by part, and the norms on the way.

    Args:
        stack: Before the step.
        rows: int64 (R, B) or (1, B), the samples.
        splits: Number of parts, a divisor of B.

    Returns:
        The mean gradient of the batch, ready for `stack.update`, and the norms.
    """
    scale = stack.scale(rows)
    pass_size = max(1, stack.micro_batch_size // 2)
    held: list[Tensor] = []
    norms = []
    for part in rows.chunk(splits, dim=1):
        mine = stack.accumulate(part, scale=scale, pass_size=pass_size)
        # The part's share of the batch's gradient, scaled up to the part's own mean.
        share = stack.scale(part) / scale
        norms.append(squared_norms(stack, mine) * share.double().square())
        held = [a.add_(b) for a, b in zip(held, mine, strict=True)] if held else mine
    small, big = torch.stack(norms).mean(dim=0), squared_norms(stack, held)
    return held, StackedWindow(small=tuple(small.tolist()), big=tuple(big.tolist()))


@torch.no_grad()
def squared_norms(stack: Stack, gradients: list[Tensor]) -> Tensor:
    """Sum the squares of each replica's gradients, as the optimizer sees them.

    Args:
        stack: Its optimizer's state before the step.
        gradients: (R, ...) each.

    Returns:
        float64 (R,).
    """
    group, state = stack.optimizer.param_groups[0], stack.optimizer.state
    total = torch.zeros(len(stack), dtype=torch.float64, device=stack.bench.device)
    for parameter, gradient in zip(stack.parameters, gradients, strict=True):
        divisor = preconditioner(group, state.get(parameter, {}))
        seen = gradient if divisor is None else gradient / divisor
        total += torch.linalg.vector_norm(seen.flatten(1), dim=1).double().square()
    return total
