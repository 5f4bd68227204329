"""Sharpness where a run has ended, on the same samples for every run of a workload."""

from __future__ import annotations

from typing import Final

import torch

from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.random_state import derived_seed
from tuner.measuring.sharpness import measure_sharpness
from tuner.measuring.workbench import Workbench, eagerly
from tuner.records import Sharpness

SAMPLES: Final = 1024
"""Size of the fixed set of training samples, if there are so many."""


def sharpness_at(bench: Workbench, model: torch.nn.Module) -> Sharpness | None:
    """Measure sharpness at a model's weights, in fp32 and eval mode.

    Args:
        bench: The workload; its data seed chooses the samples and the directions, so that
            runs are compared on equal terms.
        model: Where the run has ended.

    Returns:
        The measures, or None where memory does not hold the first of them.
    """
    seed = derived_seed(bench.workload.data_seed, "sharpness")
    order = torch.randperm(len(bench.train), generator=torch.Generator().manual_seed(seed))
    chosen = order[:SAMPLES].to(bench.train.home)

    def loss_sum(samples: slice) -> torch.Tensor:
        inputs, targets = bench.train.fetch(chosen[samples])
        return bench.criterion.loss_sum(model, inputs, targets)

    counts = bench.train.counts.index_select(0, chosen)
    try:
        with eagerly(bench.workload):
            return measure_sharpness(model, loss_sum, counts, seed=seed)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        forget(error)
    release(bench.device)
    return None
