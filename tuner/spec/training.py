"""How the model trains: task, optimizer, schedule, precision."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from typing_extensions import TypeAliasType

from tuner.spec.strict import Strict

Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
WeightDecay = Annotated[float, Field(ge=0.0, le=10.0)]
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


class Sgd(Strict):
    """Stochastic gradient descent."""

    kind: Literal["sgd"]
    momentum: Momentum = 0.0
    nesterov: bool = False
    weight_decay: WeightDecay = 0.0

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Adam(Strict):
    """Adam with its L2 weight decay."""

    kind: Literal["adam"]
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    epsilon: PositiveFloat = 1e-8
    weight_decay: WeightDecay = 0.0


class AdamW(Strict):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"]
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    epsilon: PositiveFloat = 1e-8
    weight_decay: WeightDecay = 0.01


class RmsProp(Strict):
    """RMSprop."""

    kind: Literal["rmsprop"]
    alpha: Beta = 0.99
    epsilon: PositiveFloat = 1e-8
    momentum: Momentum = 0.0
    weight_decay: WeightDecay = 0.0


OptimizerSpec = TypeAliasType(
    "OptimizerSpec", Annotated[Sgd | Adam | AdamW | RmsProp, Field(discriminator="kind")]
)


class ConstantSchedule(Strict):
    """The same learning rate throughout."""

    kind: Literal["constant"]


class CosineSchedule(Strict):
    """Linear warm-up, then half a cosine down to zero, both counted in samples."""

    kind: Literal["cosine"]
    warmup_samples: int = Field(default=0, ge=0)
    horizon_samples: PositiveInt

    @model_validator(mode="after")
    def _warmup_ends_before_the_horizon(self) -> Self:
        if self.warmup_samples >= self.horizon_samples:
            raise ValueError(
                f"warmup_samples ({self.warmup_samples}) must be below "
                f"horizon_samples ({self.horizon_samples})"
            )
        return self


ScheduleSpec = TypeAliasType(
    "ScheduleSpec", Annotated[ConstantSchedule | CosineSchedule, Field(discriminator="kind")]
)

Task = Literal["classification", "regression", "causal_lm"]


class Training(Strict):
    """How the model trains. All of it is held fixed while batch and rate are searched."""

    task: Task
    optimizer: OptimizerSpec = Sgd(kind="sgd", momentum=0.9)
    schedule: ScheduleSpec = ConstantSchedule(kind="constant")
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_clip_norm: PositiveFloat | None = None
    activation_checkpointing: bool = False
    attention: Literal["auto", "eager", "sdpa"] = "auto"
    experts: Literal["auto", "eager", "batched_mm", "grouped_mm"] = Field(
        default="auto",
        description="How a mixture of experts of transformers multiplies. The memory of `eager` "
        "depends on the values and cannot be predicted.",
    )
    compile: bool = False
