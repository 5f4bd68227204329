"""How good a model is on the validation set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch

from tuner.measuring.batches import Batches
from tuner.measuring.random_state import derived_seed
from tuner.measuring.workbench import Workbench
from tuner.workloads.precision import autocast_of
from tuner.workloads.randomness import seeded

Score = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""From a model and a micro-batch to a sum over its counted items."""

DIVERGENCE_FACTOR: Final = 3.0
"""A loss beyond this multiple of the initial one counts as diverged."""

GUARD_SAMPLES: Final = 1024
"""Samples on which the loss is watched where the metric is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One look at the validation set.

    Args:
        value: The metric over the whole set.
        loss: Mean loss, the guard against divergence: over the whole set where the metric is
            the loss, else over its first 1,024 samples.
    """

    value: float
    loss: float

    def diverged_from(self, initial_loss: float) -> bool:
        """Say whether this is worse than an untrained model can explain."""
        return not math.isfinite(self.loss) or self.loss > DIVERGENCE_FACTOR * initial_loss


def evaluate(
    bench: Workbench,
    model: torch.nn.Module,
    *,
    samples_per_pass: int,
    num_samples: int | None = None,
) -> Evaluation:
    """Evaluate a model in eval mode, without gradients.

    A model that draws random numbers even so draws the same ones each time, and the run's own
    are left as they were: how often a run looks does not change where it goes.

    Args:
        bench: The workload.
        model: Comes back in training mode.
        samples_per_pass: Samples of a forward pass at most.
        num_samples: Look at so many samples only; None: at all.

    Returns:
        Metric and loss. The device is waited for once, at the end.
    """
    seen = look(bench, model, samples_per_pass=samples_per_pass, num_samples=num_samples).tolist()
    return Evaluation(value=seen[0], loss=seen[1])


@torch.no_grad()
def look(
    bench: Workbench,
    model: torch.nn.Module,
    *,
    samples_per_pass: int,
    num_samples: int | None = None,
) -> torch.Tensor:
    """Do all of an evaluation but wait for it.

    Args:
        bench: The workload.
        model: Comes back in training mode.
        samples_per_pass: Samples of a forward pass at most.
        num_samples: Look at so many samples only; None: at all.

    Returns:
        float64 (2,), metric and loss, on the device.
    """
    total = min(num_samples or len(bench.validation), len(bench.validation))
    counts_accuracy = bench.workload.metric == "accuracy"
    guard = min(total, GUARD_SAMPLES) if counts_accuracy else total
    model.eval()
    split, criterion = bench.validation, bench.criterion
    with seeded(derived_seed(bench.workload.data_seed, "evaluation")):
        loss = mean_score(
            bench, split, criterion.loss_sum, model, total=guard, samples_per_pass=samples_per_pass
        )
        value = loss
        if counts_accuracy:
            score = criterion.correct_sum
            value = mean_score(
                bench, split, score, model, total=total, samples_per_pass=samples_per_pass
            )
    model.train()
    return torch.stack([value, loss])


@torch.no_grad()
def mean_score(
    bench: Workbench,
    batches: Batches,
    score: Score,
    model: torch.nn.Module,
    *,
    total: int,
    samples_per_pass: int,
) -> torch.Tensor:
    """Average a score over the first samples of a split, in the model's mode of the moment.

    Args:
        bench: The workload, whose precision it is computed in.
        batches: The split.
        score: Sums over the counted items of a micro-batch.
        model: On the device.
        total: Samples to look at.
        samples_per_pass: Samples of a forward pass at most.

    Returns:
        A float64 scalar on the device; nothing waits for it.
    """
    summed = torch.zeros((), dtype=torch.float64, device=bench.device)
    for samples in _slices(total, samples_per_pass):
        inputs, targets = batches.run(samples)
        with autocast_of(bench.workload.training, bench.device):
            summed += score(model, inputs, targets)
    return summed / batches.counts[:total].sum().to(bench.device)


def _slices(total: int, length: int) -> Iterator[slice]:
    for start in range(0, total, length):
        yield slice(start, min(start + length, total))
