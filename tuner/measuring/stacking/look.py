"""How good every replica of a stack is on the validation set."""

from __future__ import annotations

import torch

from tuner.measuring.evaluation import GUARD_SAMPLES, Evaluation
from tuner.measuring.stacking.passes import Score
from tuner.measuring.stacking.stack import Stack


def look(stack: Stack, *, samples_per_pass: int) -> list[Evaluation]:
    """Evaluate all replicas in eval mode, without gradients.

    Args:
        stack: As it stands.
        samples_per_pass: Samples of a forward pass at most, each seen by all replicas.

    Returns:
        One evaluation for each replica.
    """
    bench = stack.bench
    total = len(bench.validation)
    if bench.workload.metric != "accuracy":
        losses = _means(stack, bench.criterion.loss_sum, total, samples_per_pass).tolist()
        return [Evaluation(value=loss, loss=loss) for loss in losses]
    guard = min(total, GUARD_SAMPLES)
    losses = _means(stack, bench.criterion.loss_sum, guard, samples_per_pass).tolist()
    shares = _means(stack, bench.criterion.correct_sum, total, samples_per_pass).tolist()
    return [Evaluation(value=v, loss=loss) for v, loss in zip(shares, losses, strict=True)]


def _means(stack: Stack, score: Score, total: int, samples_per_pass: int) -> torch.Tensor:
    batches = stack.bench.validation
    summed = torch.zeros(len(stack), dtype=torch.float64, device=stack.bench.device)
    for start in range(0, total, samples_per_pass):
        inputs, targets = batches.run(slice(start, min(start + samples_per_pass, total)))
        summed += stack.summed(score, inputs, targets)
    return summed / batches.counts[:total].sum().to(stack.bench.device)
