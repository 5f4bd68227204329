"""Where to look, and how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from tuner.spec.strict import MAX_BATCH_SIZE, MAX_RATES, Strict


class BatchRange(Strict):
    """Global batch sizes to consider, both ends included."""

    low: int = Field(default=8, ge=1, le=MAX_BATCH_SIZE)
    high: int = Field(default=512, ge=1, le=MAX_BATCH_SIZE)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not exceed high ({self.high})")
        return self


def nearest_rate(
    learning_rate: float, *, low: float, high: float, values: Sequence[float] = ()
) -> float:
    """Draw a rate into a range.

    Args:
        learning_rate: Any rate above 0.
        low: Lower end.
        high: Upper end.
        values: The only rates of the range; empty where any between the ends will do.

    Returns:
        The rate of the range that is nearest in ln.
    """
    if values:
        return min(values, key=lambda rate: abs(math.log(rate / learning_rate)))
    return min(high, max(low, learning_rate))


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
        return nearest_rate(learning_rate, low=self.low, high=self.high, values=self.values)


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
