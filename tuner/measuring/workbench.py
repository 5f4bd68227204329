"""A workload set up on its device: data, batches and criterion, kept between requests."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import torch

from tuner.measuring.batches import Batches
from tuner.places import Places
from tuner.records import Workload
from tuner.workloads.build import build_model, device_of
from tuner.workloads.data import Data, load_data
from tuner.workloads.losses import Criterion, build_criterion

DEVICE_SHARE: Final = 0.5
"""Data larger than this share of what a device may use stay on the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """All of a workload that does not depend on a seed, a batch or a rate.

    Args:
        workload: What was set up.
        device: Where models run.
        data: On the device, or on the host where it would take too much of it.
        criterion: What is counted and summed.
        train: Batches of the training split.
        validation: Batches of the validation split.
        places: Where own code may lie.
        foreach: Whether the optimizer updates many tensors at once; None for torch's own
            choice on the device.
        traces: Passes of stacks that were written down, by their shapes; they hold no weights,
            so that every stack of the workload can go on with them.
    """

    workload: Workload
    device: torch.device
    data: Data
    criterion: Criterion
    train: Batches
    validation: Batches
    places: Places
    foreach: bool | None = None
    traces: dict[Hashable, Callable[..., Any]] = field(default_factory=dict, compare=False)

    def model(self, seed: int) -> torch.nn.Module:
        """Build a fresh model on the device, in training mode."""
        model = build_model(self.workload, self.data, seed=seed, places=self.places)
        return model.to(self.device)


def eagerly(workload: Workload) -> AbstractContextManager[Any]:
    """Run a model uncompiled for a while, where compiled code would hide what is looked for.

    A compiled graph has no second derivative, and its allocations pass by tracked memory.
    """
    if workload.training.get("compile", False):
        stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance
    return nullcontext()


def set_up(workload: Workload, places: Places, *, limit_bytes: int | None = None) -> Workbench:
    """Load a workload's data and put it where it is trained on.

    Args:
        workload: What to set up.
        places: Where files and entry points may lie.
        limit_bytes: What may be used of the device; None: all of it.

    Returns:
        The bench.

    Raises:
        InvalidWorkload: There is no such device, or the data cannot be trained on.
    """
    device = device_of(workload)
    data = load_data(workload, places)
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        if data.bytes <= DEVICE_SHARE * min(total, limit_bytes or total):
            data = data.to(device)
    criterion = build_criterion(workload.training, data)
    return Workbench(
        workload=workload,
        device=device,
        data=data,
        criterion=criterion,
        train=Batches(data.train, criterion.counts(data.train), device),
        validation=Batches(data.validation, criterion.counts(data.validation), device),
        places=places,
    )
