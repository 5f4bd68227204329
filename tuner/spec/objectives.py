"""What the answer is to be best at."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, PositiveFloat, PositiveInt, model_validator
from typing_extensions import TypeAliasType

from tuner.spec.strict import Strict

Metric = Literal["validation_loss", "accuracy"]
SharpnessTolerance = Annotated[
    Annotated[float, Field(ge=0.0, le=0.5)] | None,
    Field(
        description="Null: sharpness is reported and decides nothing. A number: the flatter "
        "minimum is taken among configurations whose times cannot be told apart, or lie this "
        "close, relative.",
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
    sharpness_tolerance: SharpnessTolerance = None

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
    sharpness_tolerance: SharpnessTolerance = None

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.budget_samples is None) == (self.budget_seconds is None):
            raise ValueError("give exactly one of budget_samples and budget_seconds")
        return self


Objective = TypeAliasType(
    "Objective", Annotated[TimeToTarget | LossAtBudget, Field(discriminator="kind")]
)
