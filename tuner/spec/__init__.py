"""The request: what a user writes, checked field by field, defaults filled in.

Every `kind` is required and every unknown key is refused, so that a typing mistake never
turns into a silent default. This module knows nothing of files, networks or devices: what
needs those is checked by whoever has them.
"""

from tuner.spec.canonical import canonical_json, digest
from tuner.spec.datasets import (
    DatasetSpec,
    EntrypointDataset,
    FilesDataset,
    SklearnDataset,
    SyntheticDataset,
    SyntheticInput,
    ValidationFraction,
)
from tuner.spec.models import (
    BuiltinCnn,
    BuiltinMlp,
    BuiltinModel,
    BuiltinTransformer,
    CnnOptions,
    EntrypointModel,
    HfConfigModel,
    MlpOptions,
    ModelSpec,
    TransformerOptions,
)
from tuner.spec.objectives import LossAtBudget, Metric, Objective, SharpnessTolerance, TimeToTarget
from tuner.spec.request import (
    DEFAULT_RATES,
    SKLEARN_TASK,
    Budget,
    Hardware,
    TuningSpec,
    misplaced_dataset,
)
from tuner.spec.space import BatchRange, RateRange, Search, SearchSpace
from tuner.spec.strict import (
    ENTRYPOINT,
    MAX_BATCH_SIZE,
    MAX_BYTES,
    MAX_RATES,
    MAX_SEED,
    Strict,
)
from tuner.spec.training import (
    Adam,
    AdamW,
    Beta,
    ConstantSchedule,
    CosineSchedule,
    Momentum,
    OptimizerSpec,
    RmsProp,
    ScheduleSpec,
    Sgd,
    Task,
    Training,
    WeightDecay,
)

__all__ = [
    "DEFAULT_RATES",
    "ENTRYPOINT",
    "MAX_BATCH_SIZE",
    "MAX_BYTES",
    "MAX_RATES",
    "MAX_SEED",
    "SKLEARN_TASK",
    "Adam",
    "AdamW",
    "BatchRange",
    "Beta",
    "Budget",
    "BuiltinCnn",
    "BuiltinMlp",
    "BuiltinModel",
    "BuiltinTransformer",
    "CnnOptions",
    "ConstantSchedule",
    "CosineSchedule",
    "DatasetSpec",
    "EntrypointDataset",
    "EntrypointModel",
    "FilesDataset",
    "Hardware",
    "HfConfigModel",
    "LossAtBudget",
    "Metric",
    "MlpOptions",
    "ModelSpec",
    "Momentum",
    "Objective",
    "OptimizerSpec",
    "RateRange",
    "RmsProp",
    "ScheduleSpec",
    "Search",
    "SearchSpace",
    "Sgd",
    "SharpnessTolerance",
    "SklearnDataset",
    "Strict",
    "SyntheticDataset",
    "SyntheticInput",
    "Task",
    "TimeToTarget",
    "Training",
    "TransformerOptions",
    "TuningSpec",
    "ValidationFraction",
    "WeightDecay",
    "canonical_json",
    "digest",
    "misplaced_dataset",
]
