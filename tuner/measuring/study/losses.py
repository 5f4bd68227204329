"""Both losses of a model: what it was trained on, and what it was not."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tuner.measuring.evaluation import mean_score
from tuner.measuring.random_state import derived_seed
from tuner.measuring.workbench import Workbench
from tuner.workloads.randomness import seeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """One look at both splits.

    Args:
        train: Mean loss over the training split.
        validation: Mean loss over the validation split.
        accuracy: Share of the validation split that is right; None where nothing is.
    """

    train: float
    validation: float
    accuracy: float | None


@torch.no_grad()
def losses_of(bench: Workbench, model: torch.nn.Module, *, samples_per_pass: int) -> Losses:
    """Evaluate a model on both splits, whole, in eval mode and in the precision it trains in.

    A model that draws random numbers even so draws the same ones each time, and those of a run
    are left as they were.

    Args:
        bench: The workload.
        model: Comes back in training mode.
        samples_per_pass: Samples of a forward pass at most.

    Returns:
        The losses. The device is waited for once, at the end.
    """
    criterion = bench.criterion
    looks = [(bench.train, criterion.loss_sum), (bench.validation, criterion.loss_sum)]
    if bench.workload.training["task"] == "classification":
        looks.append((bench.validation, criterion.correct_sum))
    model.eval()
    with seeded(derived_seed(bench.workload.data_seed, "evaluation")):
        seen = [
            mean_score(
                bench, split, score, model, total=len(split), samples_per_pass=samples_per_pass
            )
            for split, score in looks
        ]
    model.train()
    train, validation, *rest = torch.stack(seen).tolist()
    return Losses(train=train, validation=validation, accuracy=rest[0] if rest else None)
