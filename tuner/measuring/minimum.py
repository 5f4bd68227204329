"""Sharpness where a run has ended, on the same samples for every run of a workload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.random_state import derived_seed
from tuner.measuring.sharpness import LossSum, measure_sharpness
from tuner.measuring.workbench import Workbench, eagerly
from tuner.records import Sharpness

SAMPLES: Final = 1024
"""Size of the fixed set of training samples, if there are so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSet:
    """The training samples on which minima of one workload are looked at.

    They follow from the data seed alone, so that runs are compared on equal terms.

    Args:
        bench: The workload.
        seed: Chose the samples; directions are drawn from it too.
        rows: int64 (n,), where the data lie.
    """

    bench: Workbench
    seed: int
    rows: torch.Tensor

    @classmethod
    def of(cls, bench: Workbench) -> FixedSet:
        """Choose the samples of a workload."""
        seed = derived_seed(bench.workload.data_seed, "sharpness")
        order = torch.randperm(len(bench.train), generator=torch.Generator().manual_seed(seed))
        return cls(bench=bench, seed=seed, rows=order[:SAMPLES].to(bench.train.home))

    @property
    def counts(self) -> torch.Tensor:
        """Counted items of each sample, shape (n,), where the data lie."""
        return self.bench.train.counts.index_select(0, self.rows)

    def loss_sum_of(self, model: torch.nn.Module) -> LossSum:
        """Sum a model's loss over slices, with its parameters of the moment."""

        def loss_sum(samples: slice) -> torch.Tensor:
            inputs, targets = self.bench.train.fetch(self.rows[samples])
            return self.bench.criterion.loss_sum(model, inputs, targets)

        return loss_sum


def sharpness_at(bench: Workbench, model: torch.nn.Module) -> Sharpness | None:
    """Measure sharpness at a model's weights, in fp32 and eval mode.

    Args:
        bench: The workload; its data seed chooses the samples and the directions.
        model: Where the run has ended.

    Returns:
        The measures, or None where memory does not hold the first of them.
    """
    chosen = FixedSet.of(bench)
    try:
        with eagerly(bench.workload):
            return measure_sharpness(
                model, chosen.loss_sum_of(model), chosen.counts, seed=chosen.seed
            )
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        forget(error)
    release(bench.device)
    return None
