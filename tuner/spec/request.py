"""The whole request: its parts, and what goes together."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from tuner.spec.datasets import DatasetSpec
from tuner.spec.models import ModelSpec
from tuner.spec.objectives import Objective, TimeToTarget
from tuner.spec.space import RateRange, Search, SearchSpace
from tuner.spec.strict import MAX_BYTES, MAX_SEED, Strict
from tuner.spec.training import Training


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
    memory_limit_bytes: int | None = Field(default=None, ge=1, le=MAX_BYTES)
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
