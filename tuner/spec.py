"""The request: what a user writes, checked field by field, defaults filled in.

Every `kind` is required and every unknown key is refused, so that a typing mistake never
turns into a silent default. This module knows nothing of files, networks or devices: what
needs those is checked by whoever has them.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from typing_extensions import TypeAliasType

MAX_SEED: Final = 2**31 - 1
"""Seeds fit a signed 32-bit integer, so that every library takes them."""

MAX_RATES: Final = 1000
"""Learning rates that can be told apart by count, at most."""

MAX_BATCH_SIZE: Final = 2**20
"""Largest global batch that can be asked for, in samples."""

ENTRYPOINT: Final = r"^[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)*:[A-Za-z_][\w]*$"


class Strict(BaseModel):
    """A part of a request: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ------------------------------------------------------------------------------- models


class MlpOptions(Strict):
    """Options of the multi-layer perceptron."""

    hidden: list[Annotated[int, Field(ge=1, le=65536)]] = Field(
        default=[64], max_length=32, description="Width of each hidden layer."
    )
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Dropout after each layer.")


class CnnOptions(Strict):
    """Options of the convolutional network."""

    channels: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default=[16, 32], min_length=1, max_length=16, description="Channels of each block."
    )
    batch_norm: bool = Field(default=False, description="BatchNorm after each convolution.")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Dropout before the head.")


class TransformerOptions(Strict):
    """Options of the transformer."""

    width: int = Field(default=64, ge=1, le=16384, description="Width of the residual stream.")
    depth: int = Field(default=2, ge=1, le=256, description="Number of blocks.")
    heads: int = Field(default=4, ge=1, le=256, description="Attention heads; divides `width`.")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Dropout in each block.")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


class BuiltinMlp(Strict):
    """A multi-layer perceptron; sizes of input and output come from the data."""

    kind: Literal["builtin"]
    name: Literal["mlp"]
    options: MlpOptions = MlpOptions()


class BuiltinCnn(Strict):
    """Convolution, ReLU and max-pool blocks with a linear head, for images."""

    kind: Literal["builtin"]
    name: Literal["cnn"]
    options: CnnOptions = CnnOptions()


class BuiltinTransformer(Strict):
    """A pre-norm transformer: causal for language models, pooled for the other tasks."""

    kind: Literal["builtin"]
    name: Literal["transformer"]
    options: TransformerOptions = TransformerOptions()


BuiltinModel = TypeAliasType(
    "BuiltinModel",
    Annotated[BuiltinMlp | BuiltinCnn | BuiltinTransformer, Field(discriminator="name")],
)


class HfConfigModel(Strict):
    """An architecture of transformers, built from its configuration: no download, no code."""

    kind: Literal["hf_config"]
    model_type: str = Field(max_length=64, description="For example `gpt2`; see `/v1/catalog`.")
    config: dict[str, JsonValue] = Field(
        default={}, description="Keys of that architecture's configuration."
    )


class EntrypointModel(Strict):
    """Your own model. The operator has to allow the prefix of its target."""

    kind: Literal["entrypoint"]
    target: str = Field(pattern=ENTRYPOINT, max_length=256, description="`package.module:function`")
    kwargs: dict[str, JsonValue] = Field(default={}, description="Arguments of that function.")


ModelSpec = TypeAliasType(
    "ModelSpec",
    Annotated[BuiltinModel | HfConfigModel | EntrypointModel, Field(discriminator="kind")],
)


# ----------------------------------------------------------------------------- datasets

ValidationFraction = Annotated[
    float, Field(gt=0.0, lt=1.0, description="Share of the samples held out for validation.")
]


class SklearnDataset(Strict):
    """Real data that ships with scikit-learn."""

    kind: Literal["sklearn"]
    name: Literal["digits", "breast_cancer", "wine", "iris", "diabetes"]
    validation_fraction: ValidationFraction = 0.2


class FilesDataset(Strict):
    """Arrays in one file under a root that the operator configured."""

    kind: Literal["files"]
    format: Literal["npz", "safetensors"]
    path: str = Field(min_length=1, max_length=1024, description="Relative to the file root.")
    validation_fraction: ValidationFraction = 0.2


class SyntheticInput(Strict):
    """The shape of one generated sample."""

    shape: list[PositiveInt] = Field(max_length=6, description="Without the batch axis.")
    dtype: Literal["float32", "int64"] = "float32"
    high: PositiveInt | None = Field(default=None, description="Upper bound of integer inputs.")

    @model_validator(mode="after")
    def _integers_have_a_bound(self) -> Self:
        if self.dtype == "int64" and self.high is None:
            raise ValueError("an int64 input needs `high`, for example the vocabulary size")
        return self


class SyntheticDataset(Strict):
    """Generated inputs. They tune memory and throughput only: the rate stays null."""

    kind: Literal["synthetic"]
    inputs: SyntheticInput
    num_samples: int = Field(ge=2, le=10**8)
    num_outputs: PositiveInt = Field(default=10, description="Classes or regression outputs.")
    validation_fraction: ValidationFraction = 0.2


class EntrypointDataset(Strict):
    """Your own data. The operator has to allow the prefix of its target."""

    kind: Literal["entrypoint"]
    target: str = Field(pattern=ENTRYPOINT, max_length=256, description="`package.module:function`")
    kwargs: dict[str, JsonValue] = Field(default={}, description="Arguments of that function.")
    validation_fraction: ValidationFraction = 0.2


DatasetSpec = TypeAliasType(
    "DatasetSpec",
    Annotated[
        SklearnDataset | FilesDataset | SyntheticDataset | EntrypointDataset,
        Field(discriminator="kind"),
    ],
)


# ----------------------------------------------------------------------------- training

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


# ---------------------------------------------------------------- objective and budget

Metric = Literal["validation_loss", "accuracy"]
SharpnessTolerance = Annotated[
    float,
    Field(
        ge=0.0,
        le=0.5,
        description="Sharpness may decide among configurations this close, relative.",
    ),
]


class TimeToTarget(Strict):
    """The least training time until a target is reached."""

    kind: Literal["time_to_target"]
    metric: Metric = "validation_loss"
    target: FiniteFloat | None = Field(
        default=None, description="Null asks for one, measured at `horizon_samples`."
    )
    horizon_samples: PositiveInt | None = Field(
        default=None, description="Where an automatic target is read off; null: from the budget."
    )
    sharpness_tolerance: SharpnessTolerance = 0.03

    @model_validator(mode="after")
    def _target_is_possible(self) -> Self:
        if self.target is None:
            return self
        if self.target <= 0.0:
            raise ValueError(f"target must be above 0: no {self.metric} reaches {self.target}")
        if self.metric == "accuracy" and self.target > 1.0:
            raise ValueError("target must be at most 1: accuracy is a share, not per cent")
        if self.horizon_samples is not None:
            raise ValueError("horizon_samples goes with an automatic target: leave target null")
        return self


class LossAtBudget(Strict):
    """The best metric for a fixed training budget."""

    kind: Literal["loss_at_budget"]
    metric: Metric = "validation_loss"
    budget_samples: PositiveInt | None = None
    budget_seconds: PositiveFloat | None = None
    sharpness_tolerance: SharpnessTolerance = 0.03

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.budget_samples is None) == (self.budget_seconds is None):
            raise ValueError("give exactly one of budget_samples and budget_seconds")
        return self


Objective = TypeAliasType(
    "Objective", Annotated[TimeToTarget | LossAtBudget, Field(discriminator="kind")]
)


class BatchRange(Strict):
    """Global batch sizes to consider, both ends included."""

    low: int = Field(default=8, ge=1, le=MAX_BATCH_SIZE)
    high: int = Field(default=512, ge=1, le=MAX_BATCH_SIZE)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not exceed high ({self.high})")
        return self


class RateRange(Strict):
    """Learning rates to consider, both ends included."""

    low: float = Field(gt=0.0, le=1e3)
    high: float = Field(gt=0.0, le=1e3)
    count: int | None = Field(
        default=None,
        ge=2,
        le=MAX_RATES,
        description="Only so many rates, evenly spaced in ln, are tried and recommended; null: any "
        "between the ends.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        return self

    @property
    def values(self) -> tuple[float, ...]:
        """The only rates to consider, ascending; empty where any between the ends is."""
        if self.count is None:
            return ()
        width = math.log(self.high / self.low) / (self.count - 1)
        inner = (self.low * math.exp(width * index) for index in range(1, self.count - 1))
        return (self.low, *inner, self.high)

    def holds(self, learning_rate: float) -> bool:
        """Whether a rate may be tried."""
        inside = self.low <= learning_rate <= self.high
        return inside and math.isclose(self.nearest(learning_rate), learning_rate)

    def nearest(self, learning_rate: float) -> float:
        """Return the nearest rate, in ln, that may be tried."""
        if self.values:
            return min(self.values, key=lambda rate: abs(math.log(rate / learning_rate)))
        return min(self.high, max(self.low, learning_rate))


class SearchSpace(Strict):
    """Where to look. Null learning rates stand for three decades round the usual one."""

    global_batch_size: BatchRange = BatchRange()
    learning_rate: RateRange | None = None
    max_data_fraction: float = Field(
        default=0.1, gt=0.0, le=1.0, description="No batch above this share of the training set."
    )


class Search(Strict):
    """How to look."""

    sampler: Literal["physics_gp", "tpe"] = Field(
        default="physics_gp",
        description="`physics_gp`: expected improvement per second about a physical prior; it ends "
        "the search when no trial is worth its cost. `tpe`: Optuna's, warm-started.",
    )
    reuse: Literal["verified", "never"] = "verified"


class Budget(Strict):
    """What an answer may cost. Whatever runs out first ends the search."""

    max_trials: int = Field(default=24, ge=1, le=10_000, description="Search trials.")
    max_device_seconds: PositiveFloat | None = Field(
        default=None, description="Everything that devices did, in wall seconds."
    )
    timeout_seconds: PositiveFloat = Field(default=1800.0, le=30 * 86400.0)
    parallel_trials: int = Field(default=1, ge=1, le=256)


class Hardware(Strict):
    """What to measure on."""

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    data_parallel_size: Literal[1] = Field(
        default=1, description="More than 1 needs multi-device timing, which is not there yet."
    )
    memory_limit_bytes: PositiveInt | None = None
    memory_margin: float = Field(default=0.03, ge=0.0, lt=1.0)


class TuningSpec(Strict):
    """One request: which batch size and learning rate train this model on this data best?"""

    model: ModelSpec
    dataset: DatasetSpec
    training: Training
    objective: Objective = TimeToTarget(kind="time_to_target")
    search_space: SearchSpace = SearchSpace()
    search: Search = Search()
    budget: Budget = Budget()
    hardware: Hardware = Hardware()
    seed: int = Field(default=0, ge=0, le=MAX_SEED)

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if self.objective.metric == "accuracy" and self.training.task != "classification":
            raise ValueError(
                f"objective.metric accuracy needs training.task classification, "
                f"not {self.training.task}"
            )
        wrong = misplaced_dataset(self.dataset, self.training)
        if wrong is not None:
            raise ValueError(wrong)
        return self

    @property
    def learning_rates(self) -> RateRange:
        """The rates to consider: the user's, or three decades round the optimizer's usual one."""
        if self.search_space.learning_rate is not None:
            return self.search_space.learning_rate
        return DEFAULT_RATES[self.training.optimizer.kind]


SKLEARN_TASK: Final = {
    "digits": "classification",
    "breast_cancer": "classification",
    "wine": "classification",
    "iris": "classification",
    "diabetes": "regression",
}
"""What each data set that ships with scikit-learn is for."""

DEFAULT_RATES: Final = {
    "sgd": RateRange(low=1e-3, high=1.0),
    "adam": RateRange(low=3e-5, high=3e-2),
    "adamw": RateRange(low=3e-5, high=3e-2),
    "rmsprop": RateRange(low=3e-5, high=3e-2),
}


def misplaced_dataset(dataset: DatasetSpec, training: Training) -> str | None:
    """Say what is wrong where a data set is for another task; None where it is not."""
    if dataset.kind != "sklearn" or training.task == SKLEARN_TASK[dataset.name]:
        return None
    return (
        f"dataset.name {dataset.name} is for training.task "
        f"{SKLEARN_TASK[dataset.name]}, not {training.task}"
    )


def canonical_json(value: Any) -> str:
    """Write JSON the one way that two machines agree on: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """Digest plain JSON values.

    Args:
        value: Plain JSON values.

    Returns:
        `sha256:` and the hexadecimal digest of the canonical JSON.
    """
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()
