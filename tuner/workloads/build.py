"""Builds the model of a workload, with weights that follow from a seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tuner.entrypoints import failure_of
from tuner.errors import InvalidWorkload
from tuner.workloads.models import BUILDERS, blueprint_of
from tuner.workloads.randomness import seeded
from tuner.workloads.sizing import check_size, outline

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.records import Workload
    from tuner.workloads.data import Data


def device_of(workload: Workload) -> torch.device:
    """Say where a workload runs.

    Args:
        workload: Names `cpu` or `cuda`.

    Returns:
        The CPU, or the current CUDA device.

    Raises:
        InvalidWorkload: There is no CUDA device here.
    """
    if workload.accelerator != "cuda":
        return torch.device(workload.accelerator)
    if not torch.cuda.is_available():
        raise InvalidWorkload(
            "This process sees no CUDA device. Ask for `cpu` or `auto`.",
            pointer="/hardware/accelerator",
        )
    return torch.device("cuda", torch.cuda.current_device())


def build_model(workload: Workload, data: Data, *, seed: int, places: Places) -> nn.Module:
    """Build a freshly initialised model, in training mode.

    Global random states are left as they were. With `compile` the module compiles itself in
    place at its first pass: its type and the names of its weights do not change.

    Args:
        workload: Names the model and how it trains.
        data: Sizes of input and output come from it.
        seed: The weights follow from it alone.
        places: Where own code may lie.

    Returns:
        The model on the CPU, in float32.

    Raises:
        InvalidWorkload: The model is not accepted, does not fit the data, is too large, or
            its own code raised.
    """
    blueprint = blueprint_of(workload, data, places)
    kind = str(workload.model["kind"])
    build = BUILDERS[kind]
    if kind != "entrypoint":
        # Own code need not work on the meta device; its author knows how large it is.
        check_size(lambda: build(blueprint), pointer="/model")
    with seeded(seed):
        model = build(blueprint)
    return _finished(model.float().cpu(), kind, workload.training)


def outline_model(workload: Workload, data: Data, *, places: Places) -> nn.Module:
    """Build a model without any values, which takes no memory, whatever its size.

    Args:
        workload: Names the model and how it trains.
        data: Sizes of input and output come from it.
        places: Where own code may lie.

    Returns:
        The model on the `meta` device, in float32 and in training mode.

    Raises:
        InvalidWorkload: As `build_model`, `model_too_large` included; own code that does not
            work on that device raises here too.
    """
    blueprint = blueprint_of(workload, data, places)
    kind = str(workload.model["kind"])
    model = outline(lambda: BUILDERS[kind](blueprint), pointer="/model")
    return _finished(model.float(), kind, {**workload.training, "compile": False})


def _finished(model: nn.Module, kind: str, training: Mapping[str, Any]) -> nn.Module:
    model.train()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InvalidWorkload(
            "The model has no parameter to train.", code="model_failed", pointer="/model"
        )
    _apply_options(model, kind, training)
    return model


def _apply_options(model: nn.Module, kind: str, training: Mapping[str, Any]) -> None:
    if training.get("activation_checkpointing", False) and kind != "builtin":
        _checkpoint(model)
    if training.get("compile", False):
        model.compile()


def _checkpoint(model: nn.Module) -> None:
    """Switch checkpoints on by the method of transformers, by its newer name or its older."""
    for word in ("activation", "gradient"):
        enable = getattr(model, f"{word}_checkpointing_enable", None)
        if callable(enable):
            break
    else:
        raise InvalidWorkload(
            "The model has no method activation_checkpointing_enable; give it one, or train it "
            "without activation_checkpointing.",
            pointer="/training/activation_checkpointing",
        )
    try:
        enable(**{f"{word}_checkpointing_kwargs": {"use_reentrant": False}})
    except Exception as error:
        raise failure_of(error, "/training/activation_checkpointing") from error
