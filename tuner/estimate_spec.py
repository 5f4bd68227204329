"""The request of a memory estimate: a workload, and the cards that it is meant for."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from tuner.spec import (
    MAX_BATCH_SIZE,
    MAX_BYTES,
    DatasetSpec,
    Hardware,
    ModelSpec,
    Strict,
    Training,
    misplaced_dataset,
)

MAX_CARDS: Final = 32
"""Cards in one request at most."""

MARGIN: Final[float] = Hardware.model_fields["memory_margin"].default

CardName = Annotated[str, Field(min_length=1, max_length=64)]


class MemoryEstimateSpec(Strict):
    """One request: which micro-batch fits these cards when this model trains on this data?"""

    model: ModelSpec
    dataset: DatasetSpec
    training: Training
    gpus: list[CardName] = Field(
        min_length=1, max_length=MAX_CARDS, description="Names of cards; see `/v1/catalog`."
    )
    micro_batch_size: int | None = Field(
        default=None,
        ge=1,
        le=MAX_BATCH_SIZE,
        description="The size that the verdicts are about; null asks about one sample.",
    )
    accumulation: int = Field(
        default=2,
        ge=1,
        le=MAX_BATCH_SIZE,
        description="Passes per optimizer step. From 2 on, gradients are held between passes.",
    )
    memory_limit_bytes: int | None = Field(
        default=None,
        ge=1,
        le=MAX_BYTES,
        description="Cap on what torch may hold of each card; null for none.",
    )
    memory_margin: float = Field(
        default=MARGIN, ge=0.0, lt=1.0, description="Share that is left free, as in a tuning job."
    )

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        twice = sorted({name for name in self.gpus if self.gpus.count(name) > 1})
        if twice:
            raise ValueError(f"gpus names {', '.join(twice)} twice")
        wrong = misplaced_dataset(self.dataset, self.training)
        if wrong is not None:
            raise ValueError(wrong)
        return self
