"""Models and data as they would be on a device, without any of their values."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from tuner.errors import InvalidWorkload
from tuner.measuring.batches import Batches
from tuner.measuring.workbench import Workbench
from tuner.places import Places
from tuner.records import Workload
from tuner.workloads.build import build_model, outline_model
from tuner.workloads.data import Data, Split, load_data
from tuner.workloads.losses import Criterion, build_criterion

GENERATED_BYTES: Final = 64 * 2**20
"""Generated data beyond this are not generated: a few samples stand for all of them."""

FEW: Final = 16
"""So many of them."""

ELEMENT_BYTES: Final = {"float32": 4, "int64": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What every trace of a workload starts from.

    Args:
        workload: Its accelerator is `cpu`: a trace never touches another device.
        places: Where files and own code may lie.
        data: Real data, or a few samples that stand for generated ones.
        criterion: Of the data.
        num_train: Samples of the whole training split.
        num_validation: Samples of the whole validation split.
        model: On the `meta` device, or a real one where that failed; never trained.
    """

    workload: Workload
    places: Places
    data: Data
    criterion: Criterion
    num_train: int
    num_validation: int
    model: nn.Module

    @property
    def data_bytes(self) -> int:
        """Bytes of both splits, had they been loaded whole."""
        sizes = ((self.data.train, self.num_train), (self.data.validation, self.num_validation))
        return sum(_row_bytes(split) * number for split, number in sizes)


class OutlinedBatches(Batches):
    """Batches of samples whose floating-point inputs and targets have no values.

    Args:
        split: Real samples, or a few that stand for all.
        counts: Items that each of them adds to the loss.
        num_samples: How many there are in all.
        on_device: Whether they lie on the device; if not, batches are copied there.

    Attributes:
        missing_bytes: What all samples would take beyond what these do.
    """

    def __init__(
        self, split: Split, counts: torch.Tensor, num_samples: int, *, on_device: bool
    ) -> None:
        with unset_fake_temporarily():
            super().__init__(split, counts, torch.device("cpu"))
        targets = split.targets
        self.split = Split(
            inputs=_outlined(split.inputs, num_samples),
            targets=None if targets is None else _outlined(targets, num_samples),
        )
        # The order of the rows is drawn from these: few of them give few different rows.
        self.counts = counts
        self.on_device = on_device
        self.missing_bytes = _missing_bytes(self.counts, num_samples) + sum(
            _missing_bytes(tensor, num_samples)
            for tensor in (self.split.inputs, self.split.targets)
            if tensor is not None
        )

    def run(self, samples: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Take consecutive samples, copied if they do not lie on the device."""
        inputs, targets = super().run(samples)
        if self.on_device:
            return inputs, targets
        return inputs.clone(), None if targets is None else targets.clone()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedBench(Workbench):
    """A workbench whose model and data have no values.

    Args:
        train: Batches of the training split.
        validation: Batches of the validation split.
        outlined: The model that `model` hands out, on fake tensors.
    """

    train: OutlinedBatches
    validation: OutlinedBatches
    outlined: nn.Module

    def model(self, seed: int) -> nn.Module:
        """Hand the model out; its weights have no values, so no seed matters."""
        del seed
        return self.outlined


def gather(workload: Workload, places: Places) -> Material:
    """Load what the traces of a workload need.

    Args:
        workload: Its accelerator need not be here.
        places: Where files and own code may lie.

    Returns:
        The material.

    Raises:
        InvalidWorkload: The data cannot be read, or the model is not accepted or too large.
    """
    workload = replace(workload, accelerator="cpu")
    data, num_train, num_validation = _data(workload, places)
    return Material(
        workload=workload,
        places=places,
        data=data,
        criterion=build_criterion(workload.training, data),
        num_train=num_train,
        num_validation=num_validation,
        model=_model(workload, data, places),
    )


def bench_over(
    material: Material, mode: FakeTensorMode, *, foreach: bool, on_device: bool
) -> OutlinedBench:
    """Make a bench of fake tensors.

    Args:
        material: Of the workload.
        mode: Makes the tensors; they work under it alone.
        foreach: Whether the optimizer updates many tensors at once.
        on_device: Whether the data lie on the device.

    Returns:
        A bench for one trace: its model must not be trained twice.
    """
    data, counts = material.data, material.criterion.counts
    counted = [(split, counts(split)) for split in (data.train, data.validation)]
    with mode:
        train = OutlinedBatches(*counted[0], material.num_train, on_device=on_device)
        validation = OutlinedBatches(*counted[1], material.num_validation, on_device=on_device)
        outlined = without_values(material.model)
    return OutlinedBench(
        workload=material.workload,
        device=torch.device("cpu"),
        data=replace(data, train=train.split, validation=validation.split),
        criterion=material.criterion,
        train=train,
        validation=validation,
        places=material.places,
        foreach=foreach,
        outlined=outlined,
    )


def without_values(model: nn.Module) -> nn.Module:
    """Copy a model onto tensors of the fake mode that is on; shared weights stay shared."""
    copies: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers(), *_other_tensors(model)]:
        copies.setdefault(id(tensor), _empty_like(tensor))
    copied: nn.Module = copy.deepcopy(model, copies)
    return copied


def _other_tensors(model: nn.Module) -> list[torch.Tensor]:
    found = []
    for module in model.modules():
        for value in vars(module).values():
            items = value if isinstance(value, list | tuple) else [value]
            found += [item for item in items if isinstance(item, torch.Tensor)]
    return found


def _empty_like(tensor: torch.Tensor) -> torch.Tensor:
    empty = torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device=torch.device("cpu")
    )
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty


def _outlined(tensor: torch.Tensor, num_rows: int) -> torch.Tensor:
    """Give a tensor another number of rows; indices keep their values, others lose them."""
    if tensor.is_floating_point():
        return torch.empty((num_rows, *tensor.shape[1:]), dtype=tensor.dtype)
    with unset_fake_temporarily():
        return tensor if len(tensor) == num_rows else tensor[:1].expand(num_rows, *tensor.shape[1:])


def _missing_bytes(tensor: torch.Tensor, num_rows: int) -> int:
    """Say what so many rows would take beyond what there is."""
    whole = num_rows * tensor[:1].numel() * tensor.element_size()
    return max(0, whole - tensor.untyped_storage().nbytes())


def _row_bytes(split: Split) -> int:
    tensors = [tensor for tensor in (split.inputs, split.targets) if tensor is not None]
    return sum(tensor[:1].numel() * tensor.element_size() for tensor in tensors)


def _model(workload: Workload, data: Data, places: Places) -> nn.Module:
    try:
        return outline_model(workload, data, places=places)
    except InvalidWorkload as error:
        if workload.model["kind"] != "entrypoint" or error.problem_code == "model_too_large":
            raise
    # Own code need not work on the meta device.
    plain = {**workload.training, "compile": False}
    return build_model(
        replace(workload, training=plain), data, seed=workload.data_seed, places=places
    )


def _data(workload: Workload, places: Places) -> tuple[Data, int, int]:
    dataset = workload.dataset
    if dataset["kind"] != "synthetic" or _generated_bytes(dataset) <= GENERATED_BYTES:
        data = load_data(workload, places)
        return data, len(data.train), len(data.validation)
    samples = int(dataset["num_samples"])
    held_out = max(1, round(samples * float(dataset.get("validation_fraction", 0.2))))
    few = replace(workload, dataset={**dataset, "num_samples": min(samples, FEW)})
    data = load_data(few, places)
    if not data.train.inputs.is_floating_point():
        # The highest id sets the size of an embedding; among all samples it does occur.
        data.train.inputs.view(-1)[0] = int(dataset["inputs"]["high"]) - 1
    return data, samples - held_out, held_out


def _generated_bytes(dataset: Mapping[str, Any]) -> int:
    inputs = dataset["inputs"]
    element = ELEMENT_BYTES[str(inputs.get("dtype", "float32"))]
    values: int = math.prod(inputs["shape"])
    return int(dataset["num_samples"]) * values * element
