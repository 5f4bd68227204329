"""Envelopes of batch-size studies. What is inside of them comes from the tuner."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from service.problems import Problem
from service.schemas import CallbackStatus, Envelope, unreadable
from service.store import tables
from service.study_summary import StudySummary

StudyStage = Literal[
    "inspect",
    "memory",
    "timing",
    "train",
    "minima",
    "gradients",
    "line",
    "landscape",
    "findings",
]


class StudyProgress(Envelope):
    """How far a study is."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    stage: StudyStage
    fraction: float = Field(ge=0.0, le=1.0, description="Of the whole study, by predicted time.")
    best: dict[str, JsonValue] | None = Field(description="The best arm so far.")
    device_seconds: float = Field(description="Spent on devices so far.")
    predicted_device_seconds: float | None = Field(description="Of the whole study, once known.")


class BatchSizeStudy(Envelope):
    """One batch-size study: what was asked, how far it is, and what it found, in short."""

    id: str
    state: Literal["queued", "running", "cancelling", "cancelled", "succeeded", "failed"]
    stage: StudyStage | None = Field(description="Null until the study runs.")
    revision: int = Field(description="Rises with every change; the ETag of the study.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    spec: dict[str, JsonValue] = Field(description="The request, word for word.")
    spec_digest: str = Field(description="`sha256:` over the canonical JSON of the request.")
    progress: StudyProgress | None
    summary: StudySummary | None = Field(
        description="Set when it has succeeded; curves and landscapes are under `/findings`."
    )
    problem: Problem | None = Field(description="Set when it has failed.")
    callback: CallbackStatus | None = Field(description="Null: nobody is told of the end.")

    @classmethod
    def of(cls, job: tables.Job) -> Self:
        """Show a stored study, also one whose summary another version wrote."""
        fields: dict[str, Any] = {
            name: getattr(job, name) for name in cls.model_fields if name != "summary"
        }
        fields["callback"] = CallbackStatus.of(job.callback) if job.callback else None
        try:
            return cls.model_validate({**fields, "summary": job.answer})
        except ValidationError:
            shown = {**fields, "stage": None, "progress": None, "summary": None}
            return cls.model_validate({**shown, "problem": unreadable(job)})


class BatchSizeStudyPage(Envelope):
    """Some studies, the newest first."""

    items: list[BatchSizeStudy]
    next_cursor: str | None = Field(description="Give it back for the next ones; null: no more.")


class StudyRunShown(Envelope):
    """One training of a study: one batch size, one rate, one seed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int
    request_id: str
    stage: Literal["train"]
    state: Literal["running", "complete", "censored", "diverged", "infeasible"] = Field(
        description="`complete`: its minimum is behind it; `censored`: its epochs ran out first."
    )
    global_batch_size: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    seed: int
    steps: float | None = Field(description="Optimizer steps to its minimum.")
    calibrated_seconds: float | None = Field(description="Those steps at the measured step time.")
    metric: float | None = Field(description="Its lowest validation loss.")
    asam: float | None = Field(description="ASAM sharpness of its minimiser, where measured.")


class StudyRunPage(Envelope):
    """Some runs of a study, in the order in which they were started."""

    items: list[StudyRunShown]
    next_cursor: str | None = Field(description="Give it back for the next ones; null: no more.")
