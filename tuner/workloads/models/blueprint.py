"""What a model has to be built to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from tuner.errors import InvalidWorkload

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.records import Workload
    from tuner.workloads.data import Data


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A model's options and the sizes that its data dictate.

    Args:
        model: `model` of the workload.
        training: `training` of the workload.
        input_shape: Shape of one sample.
        output_size: Classes, regression outputs, or vocabulary size.
        vocabulary_size: Token ids in the inputs, highest plus one; None for float inputs.
        places: Where own code may lie.
    """

    model: Mapping[str, Any]
    training: Mapping[str, Any]
    input_shape: tuple[int, ...]
    output_size: int
    vocabulary_size: int | None
    places: Places

    @property
    def task(self) -> str:
        """`classification`, `regression` or `causal_lm`."""
        return str(self.training["task"])

    @property
    def attention(self) -> str:
        """`auto`, `eager` or `sdpa`."""
        return str(self.training.get("attention", "auto"))

    @property
    def experts(self) -> str:
        """`auto`, `eager`, `batched_mm` or `grouped_mm`."""
        return str(self.training.get("experts", "auto"))

    @property
    def checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass."""
        return bool(self.training.get("activation_checkpointing", False))


Builder = Callable[[Blueprint], nn.Module]
"""Builds one kind of model on the current default device, from the global random state."""


def blueprint_of(workload: Workload, data: Data, places: Places) -> Blueprint:
    """Read off the data what a model has to be built to.

    Args:
        workload: Names the model.
        data: What it will train on.
        places: Where own code may lie.

    Returns:
        The blueprint.

    Raises:
        InvalidWorkload: Token ids are negative where the task knows no padding.
    """
    return Blueprint(
        model=workload.model,
        training=workload.training,
        input_shape=data.input_shape,
        output_size=data.output_size,
        vocabulary_size=_vocabulary(workload, data),
        places=places,
    )


def _vocabulary(workload: Workload, data: Data) -> int | None:
    if data.train.inputs.is_floating_point():
        return None
    if workload.training["task"] == "causal_lm":
        return data.output_size
    splits = (data.train, data.validation)
    lowest = min(int(split.inputs.min()) for split in splits)
    if lowest < 0:
        raise InvalidWorkload(
            f"The integer inputs hold {lowest}. Negative token ids are padding in causal_lm "
            "alone; give ids from 0, or floating-point inputs.",
            code="labels_out_of_range",
            pointer="/dataset",
        )
    return max(int(split.inputs.max()) for split in splits) + 1
