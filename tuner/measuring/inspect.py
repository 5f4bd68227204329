"""Builds data and model once, and says what they are before anything is paid for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch

from tuner.entrypoints import failure_of
from tuner.errors import InvalidWorkload
from tuner.measuring.dependence import batch_dependent_layers, sees_the_future
from tuner.measuring.device import describe_device
from tuner.records import Inspect, Inspection, Workload
from tuner.workloads.build import build_model, device_of
from tuner.workloads.data import load_data
from tuner.workloads.digests import code_digest
from tuner.workloads.losses import Criterion, build_criterion
from tuner.workloads.optimizers import build_optimizer
from tuner.workloads.precision import autocast_of
from tuner.workloads.randomness import seeded

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.workloads.data import Data, Split

TINY_BATCH: Final = 4
"""Samples of the first pass: more than one, which BatchNorm needs."""

EVALUATION_BATCH: Final = 64

FEW_VALIDATION_SAMPLES: Final = 100


def inspect(request: Inspect, places: Places) -> Inspection:
    """Build what a request names, try one step of it, and describe it.

    Args:
        request: Names the workload.
        places: Where files and own code may lie.

    Returns:
        Sizes, digests, the loss of a fresh model, and the device.

    Raises:
        InvalidWorkload: Data or model cannot be built or trained (`model_failed` with its
            traceback where the model itself raised).
    """
    started = time.perf_counter()
    workload = request.workload
    device = device_of(workload)
    facts = describe_device(workload)
    data = load_data(workload, places)
    model = build_model(workload, data, seed=workload.data_seed, places=places)
    parameters = list(model.parameters())
    with seeded(workload.data_seed), _blaming_the_model():
        model = model.to(device)
        initial_loss = _mean_loss(workload, model, data, device)
        _step(workload, model, data, device)
        layers = batch_dependent_layers(model, data, device)
        leaks = workload.training["task"] == "causal_lm" and sees_the_future(model, data, device)
    _check_initial(initial_loss, leaks=leaks)
    return Inspection(
        num_train=len(data.train),
        num_validation=len(data.validation),
        input_shape=data.input_shape,
        input_dtype=str(data.train.inputs.dtype).removeprefix("torch."),
        output_size=data.output_size,
        tokens_per_sample=data.tokens_per_sample,
        parameter_count=sum(p.numel() for p in parameters if p.requires_grad),
        parameter_bytes=sum(p.numel() * p.element_size() for p in parameters),
        batch_dependent_layers=layers,
        synthetic=data.synthetic,
        data_digest=data.digest,
        code_digest=code_digest(workload, places),
        initial_loss=initial_loss,
        device=facts,
        device_seconds=time.perf_counter() - started,
        warnings=_warnings(data),
    )


@contextmanager
def _blaming_the_model() -> Iterator[None]:
    """Turn what the model raises into a problem of its own; memory is nobody's fault here."""
    try:
        yield
    except (InvalidWorkload, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise failure_of(error, "/model") from error


def _mean_loss(
    workload: Workload, model: torch.nn.Module, data: Data, device: torch.device
) -> float:
    criterion = build_criterion(workload.training, data)
    count = int(criterion.counts(data.validation).sum())
    total = 0.0
    model.eval()
    with torch.no_grad():
        for start in range(0, len(data.validation), EVALUATION_BATCH):
            part = _rows(data.validation, slice(start, start + EVALUATION_BATCH), device)
            with autocast_of(workload.training, device):
                total += float(criterion.loss_sum(model, part.inputs, part.targets))
    model.train()
    return total / count


def _step(workload: Workload, model: torch.nn.Module, data: Data, device: torch.device) -> None:
    """Take one optimizer step at rate zero: everything runs, and no weight moves far."""
    criterion: Criterion = build_criterion(workload.training, data)
    optimizer = build_optimizer(workload.training, model, 0.0)
    part = _rows(data.train, slice(TINY_BATCH), device)
    with autocast_of(workload.training, device):
        loss = criterion.loss_sum(model, part.inputs, part.targets)
    loss.backward()  # type: ignore[no-untyped-call]
    if all(parameter.grad is None for parameter in model.parameters()):
        raise InvalidWorkload(
            "The loss does not depend on any parameter of the model.",
            code="model_failed",
            pointer="/model",
        )
    optimizer.step()
    optimizer.zero_grad()


def _rows(split: Split, rows: slice, device: torch.device) -> Split:
    targets = None if split.targets is None else split.targets[rows]
    return type(split)(inputs=split.inputs[rows], targets=targets).to(device)


def _check_initial(initial_loss: float, *, leaks: bool) -> None:
    if not math.isfinite(initial_loss):
        raise InvalidWorkload(
            f"The freshly initialised model has a validation loss of {initial_loss}.",
            code="model_failed",
            pointer="/model",
        )
    if leaks:
        raise InvalidWorkload(
            "The model is not causal: its scores of a position change with later tokens, so "
            "predicting the next one means nothing.",
            code="model_failed",
            pointer="/model",
        )


def _warnings(data: Data) -> tuple[str, ...]:
    if len(data.validation) >= FEW_VALIDATION_SAMPLES:
        return ()
    sentence = (
        f"Validation has {len(data.validation)} samples: its metric is coarse, and so is every "
        "comparison that rests on it."
    )
    return (sentence,)
