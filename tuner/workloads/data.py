"""Training and validation data, in memory, split and checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch

from tuner.errors import InvalidWorkload
from tuner.workloads.checks import check_data
from tuner.workloads.datasets import LOADERS, Arrays

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.records import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Samples with their targets; the sample axis comes first.

    Args:
        inputs: (N, ...): float32, or int64 token ids (negative ones are padding).
        targets: int64 class indices (N,), float32 values (N, K), or None for causal_lm.
    """

    inputs: torch.Tensor
    targets: torch.Tensor | None

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.inputs)

    def to(self, device: torch.device) -> Self:
        """Copy to a device."""
        targets = None if self.targets is None else self.targets.to(device)
        return replace(self, inputs=self.inputs.to(device), targets=targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A data set that is ready to train on.

    Args:
        train: What the model learns from.
        validation: What it is judged by.
        output_size: Classes, regression outputs, or vocabulary size.
        tokens_per_sample: For causal_lm, else None.
        synthetic: Whether the targets are invented.
        digest: `sha256:` of both splits as they are trained on.
    """

    train: Split
    validation: Split
    output_size: int
    tokens_per_sample: int | None
    synthetic: bool
    digest: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch axis."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def bytes(self) -> int:
        """Bytes that both splits take together."""
        splits = (self.train, self.validation)
        tensors = [t for s in splits for t in (s.inputs, s.targets) if t is not None]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def to(self, device: torch.device) -> Self:
        """Copy both splits to a device."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))


def load_data(workload: Workload, places: Places) -> Data:
    """Load, split and check the data set of a workload.

    Without validation arrays of its own, the share `validation_fraction` is held out, drawn
    by the data seed. Tables of scikit-learn are then standardised by training statistics,
    regression targets included: their loss is in units of the targets' training variance.

    Args:
        workload: Names the data set and the task.
        places: Where files and entry points may lie.

    Returns:
        Tensors on the CPU.

    Raises:
        InvalidWorkload: The data cannot be read, does not fit the task, is too small, is
            not finite, or its labels are out of range.
    """
    task = str(workload.training["task"])
    arrays = LOADERS[str(workload.dataset["kind"])](workload, places)
    output_size = check_data(arrays, task)
    fraction = float(workload.dataset.get("validation_fraction", 0.2))
    train, validation = _splits(_shaped(arrays, task), fraction, workload.data_seed)
    if arrays.standardise:
        train, validation = _standardised(train, validation)
    return Data(
        train=train,
        validation=validation,
        output_size=output_size,
        tokens_per_sample=train.inputs.shape[1] if task == "causal_lm" else None,
        synthetic=arrays.synthetic,
        digest=_digest(train, validation),
    )


def _shaped(arrays: Arrays, task: str) -> Arrays:
    if task == "causal_lm":
        x_val = None if arrays.x_val is None else _learnable(arrays.x_val)
        return replace(
            arrays, x_train=_learnable(arrays.x_train), x_val=x_val, y_train=None, y_val=None
        )
    if task == "classification":
        return arrays
    return replace(arrays, y_train=_columns(arrays.y_train), y_val=_columns(arrays.y_val))


def _learnable(tokens: torch.Tensor) -> torch.Tensor:
    """Leave out samples that are padding alone: no batch must be left with nothing to count."""
    return tokens[((tokens[:, :-1] >= 0) & (tokens[:, 1:] >= 0)).any(dim=1)]


def _columns(targets: torch.Tensor | None) -> torch.Tensor | None:
    if targets is None:
        return None
    columns = targets.to(torch.float32)
    return columns.unsqueeze(1) if columns.ndim == 1 else columns


def _splits(arrays: Arrays, fraction: float, seed: int) -> tuple[Split, Split]:
    if arrays.x_val is not None:
        train = Split(inputs=arrays.x_train, targets=arrays.y_train)
        return train, Split(inputs=arrays.x_val, targets=arrays.y_val)
    samples = len(arrays.x_train)
    held_out = max(1, round(samples * fraction))
    if samples - held_out < 1:
        raise InvalidWorkload(
            f"{samples} samples leave none to train on once {held_out} are held out.",
            code="too_few_samples",
            pointer="/dataset/validation_fraction",
            facts={"samples": samples, "held_out": held_out},
        )
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    return _taken(arrays, order[held_out:]), _taken(arrays, order[:held_out])


def _taken(arrays: Arrays, rows: torch.Tensor) -> Split:
    targets = None if arrays.y_train is None else arrays.y_train[rows]
    return Split(inputs=arrays.x_train[rows], targets=targets)


def _standardised(train: Split, validation: Split) -> tuple[Split, Split]:
    inputs = _scaled(train.inputs, validation.inputs)
    if train.targets is None or validation.targets is None:
        targets: tuple[torch.Tensor | None, torch.Tensor | None] = (train.targets, None)
    elif train.targets.is_floating_point():
        targets = _scaled(train.targets, validation.targets)
    else:
        targets = (train.targets, validation.targets)
    return (
        Split(inputs=inputs[0], targets=targets[0]),
        Split(inputs=inputs[1], targets=targets[1]),
    )


def _scaled(train: torch.Tensor, validation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    # A column that never changes is only centred. Sums in float64 keep wide columns exact.
    wide = train.to(torch.float64)
    mean, spread = wide.mean(dim=0), wide.std(dim=0, correction=0)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    scaled = [((part.to(torch.float64) - mean) / spread).float() for part in (train, validation)]
    return scaled[0], scaled[1]


def _digest(train: Split, validation: Split) -> str:
    hasher = hashlib.sha256()
    for tensor in (train.inputs, train.targets, validation.inputs, validation.targets):
        if tensor is None:
            hasher.update(b"none;")
            continue
        hasher.update(f"{tensor.dtype}{tuple(tensor.shape)};".encode())
        hasher.update(tensor.contiguous().numpy().data.cast("B"))
    return "sha256:" + hasher.hexdigest()
