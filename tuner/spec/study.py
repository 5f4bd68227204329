"""A batch-size study: the classic experiment for a model and data of one's own."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from typing_extensions import TypeAliasType

from tuner.spec.datasets import DatasetSpec
from tuner.spec.models import ModelSpec
from tuner.spec.request import Hardware, misplaced_dataset
from tuner.spec.strict import MAX_BATCH_SIZE, MAX_SEED, Strict
from tuner.spec.training import Training

MAX_STUDY_BATCHES: Final = 16
"""Batch sizes of one study at most; what comes out is read side by side."""

MAX_STUDY_SEEDS: Final = 50
"""Seeds of one study at most."""

Rate = Annotated[float, Field(gt=0.0, le=1e3)]


class FixedRate(Strict):
    """The same rate at every batch size."""

    kind: Literal["fixed"]
    learning_rate: Rate


class LinearRate(Strict):
    """The rate grows with the batch (Goyal et al. 2017, arXiv:1706.02677)."""

    kind: Literal["linear"]
    learning_rate: Rate
    at_batch_size: PositiveInt = Field(description="Batch at which `learning_rate` holds.")


class SquareRootRate(Strict):
    """The rate grows with the square root of the batch (Krizhevsky 2014, arXiv:1404.5997)."""

    kind: Literal["square_root"]
    learning_rate: Rate
    at_batch_size: PositiveInt = Field(description="Batch at which `learning_rate` holds.")


class RateGrid(Strict):
    """Several rates at every batch size; each batch is then shown at its own best one."""

    kind: Literal["grid"]
    learning_rates: list[Rate] = Field(min_length=2, max_length=16)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.learning_rates != sorted(set(self.learning_rates)):
            raise ValueError("learning_rates must ascend, each one once")
        return self


StudyRate = TypeAliasType(
    "StudyRate",
    Annotated[FixedRate | LinearRate | SquareRootRate | RateGrid, Field(discriminator="kind")],
)


class Rprop(Strict):
    """Resilient backpropagation (Riedmiller and Braun 1993): for the full batch alone."""

    kind: Literal["rprop"]
    learning_rate: Rate = Field(default=1e-3, description="First step size of every weight.")
    eta_minus: float = Field(default=0.5, gt=0.0, lt=1.0)
    eta_plus: float = Field(default=1.2, gt=1.0, le=10.0)
    smallest_step: PositiveFloat = 1e-6
    largest_step: PositiveFloat = 50.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.smallest_step <= self.learning_rate <= self.largest_step:
            raise ValueError("learning_rate must lie between smallest_step and largest_step")
        return self


class StudyBudget(Strict):
    """What a study may cost. What is missing when it ends is said to be missing."""

    max_device_seconds: PositiveFloat | None = Field(
        default=None, description="Everything that devices did, in wall seconds."
    )
    timeout_seconds: PositiveFloat = Field(default=14_400.0, le=30 * 86400.0)
    parallel_trials: int = Field(default=1, ge=1, le=256, description="Measurements at once.")


class StudyFigures(Strict):
    """How finely minimisers are looked at."""

    line_points: int = Field(default=31, ge=7, le=301, description="From alpha -1 to 2.")
    landscape_points: int = Field(
        default=25, ge=0, le=101, description="Per axis; 0 leaves the landscapes out."
    )
    landscape_radius: float = Field(default=1.0, gt=0.0, le=10.0)


class StudySpec(Strict):
    """One study: what do batch size and rate change about this training?"""

    model: ModelSpec
    dataset: DatasetSpec
    training: Training
    batch_sizes: list[Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)]] = Field(
        min_length=2,
        max_length=MAX_STUDY_BATCHES,
        description="Global batch sizes, ascending; a batch of one is allowed.",
    )
    learning_rate: StudyRate
    full_batch: Rprop | None = Field(
        default=None, description="Also train with all samples in every step, by this rule."
    )
    seeds: int = Field(default=5, ge=1, le=MAX_STUDY_SEEDS)
    patience_epochs: int = Field(default=20, ge=1, le=10_000)
    max_epochs: int = Field(default=1000, ge=1, le=1_000_000)
    figures: StudyFigures = StudyFigures()
    budget: StudyBudget = StudyBudget()
    hardware: Hardware = Hardware()
    seed: int = Field(default=0, ge=0, le=MAX_SEED)

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if self.batch_sizes != sorted(set(self.batch_sizes)):
            raise ValueError("batch_sizes must ascend, each one once")
        if self.training.schedule.kind != "constant":
            raise ValueError("training.schedule must be constant: a study ends by its patience")
        if self.dataset.kind == "synthetic":
            raise ValueError("dataset synthetic has invented labels: there is nothing to learn")
        wrong = misplaced_dataset(self.dataset, self.training)
        if wrong is not None:
            raise ValueError(wrong)
        return self

    def rates(self, batch_size: int) -> tuple[float, ...]:
        """Return the learning rates of a batch size.

        Args:
            batch_size: Samples per optimizer step.

        Returns:
            One for a rule, all of a grid.
        """
        rule = self.learning_rate
        match rule:
            case RateGrid():
                return tuple(rule.learning_rates)
            case LinearRate():
                return (rule.learning_rate * batch_size / rule.at_batch_size,)
            case SquareRootRate():
                return (rule.learning_rate * math.sqrt(batch_size / rule.at_batch_size),)
        return (rule.learning_rate,)
