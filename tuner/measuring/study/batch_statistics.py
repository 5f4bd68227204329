"""Running statistics of BatchNorm, taken anew where those of a run mean nothing.

Between two minimisers, and at weights that have not been trained, a layer's running mean and
variance describe no network. They are replaced by the mean over the passes of a fixed set of
training samples, each pass normalised by its own samples, as in training.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tuner.measuring.random_state import derived_seed
from tuner.measuring.workbench import Workbench

SAMPLES: Final = 1024
"""Training samples that statistics are taken over, if there are so many."""

SAMPLES_PER_PASS: Final = 128
"""Samples that are normalised together. Values depend on it, so it never gives way to memory."""


def layers_with_statistics(model: nn.Module) -> tuple[_BatchNorm, ...]:
    """Return the layers whose running statistics enter the loss in eval mode."""
    return tuple(
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    )


@torch.no_grad()
def recompute_statistics(bench: Workbench, model: nn.Module) -> bool:
    """Take running statistics anew at a model's weights of the moment.

    Args:
        bench: The workload; its data seed chooses the samples.
        model: On the device; comes back in eval mode.

    Returns:
        Whether there was anything to take.
    """
    layers = layers_with_statistics(model)
    model.eval()
    if not layers:
        return False
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # statistics are then plain means over the passes
        layer.train()
    for rows in _passes(bench):
        inputs, targets = bench.train.fetch(rows)
        bench.criterion.loss_sum(model, inputs, targets)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()
    return True


def _passes(bench: Workbench) -> tuple[torch.Tensor, ...]:
    seed = derived_seed(bench.workload.data_seed, "statistics")
    order = torch.randperm(len(bench.train), generator=torch.Generator().manual_seed(seed))
    # Only whole passes: a layer does not normalise a single sample by itself.
    passes = torch.split(order[:SAMPLES], SAMPLES_PER_PASS)
    whole = [part for part in passes if len(part) == len(passes[0])]
    return tuple(part.to(bench.train.home) for part in whole)
