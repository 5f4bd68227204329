"""Envelopes of the API. What is inside of them, request and answer, comes from the tuner."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from service.problems import Problem, make_problem
from service.store import tables
from tuner.recommendation import Recommendation
from tuner.spec import Metric, Task

Stage = Literal["inspect", "memory", "timing", "race", "plan", "search", "confirm", "recommend"]


class Envelope(BaseModel):
    """A part of a response."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JobProgress(Envelope):
    """How far a job is."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    stage: Stage
    fraction: float = Field(ge=0.0, le=1.0, description="Of the whole job, by predicted time.")
    best: dict[str, JsonValue] | None = Field(description="The best configuration so far.")
    device_seconds: float = Field(description="Spent on devices so far.")
    predicted_device_seconds: float | None = Field(description="Of the whole job, once known.")


class TuningJob(Envelope):
    """One tuning job: what was asked, how far it is, and how it ended."""

    id: str
    state: Literal["queued", "running", "cancelling", "cancelled", "succeeded", "failed"]
    stage: Stage | None = Field(description="Null until the job runs.")
    revision: int = Field(description="Rises with every change; the ETag of the job.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    spec: dict[str, JsonValue] = Field(description="The request, word for word.")
    spec_digest: str = Field(description="`sha256:` over the canonical JSON of the request.")
    progress: JobProgress | None
    recommendation: Recommendation | None = Field(description="Set when it has succeeded.")
    problem: Problem | None = Field(description="Set when it has failed.")

    @classmethod
    def of(cls, job: tables.Job) -> Self:
        """Show a stored job, also one whose answer another version wrote."""
        fields: dict[str, Any] = {
            name: getattr(job, name) for name in cls.model_fields if name != "recommendation"
        }
        try:
            return cls.model_validate({**fields, "recommendation": job.answer})
        except ValidationError:
            shown = {**fields, "progress": None, "recommendation": None}
            return cls.model_validate({**shown, "problem": unreadable(job.id)})


def unreadable(job_id: str) -> Problem:
    """Say that another version wrote what was asked for."""
    detail = f"Another version of batchscout wrote this about {job_id}; run the request again."
    return make_problem("incompatible_upgrade", detail, instance=f"/v1/tuning-jobs/{job_id}")


class TuningJobPage(Envelope):
    """Some jobs, the newest first."""

    items: list[TuningJob]
    next_cursor: str | None = Field(description="Give it back for the next ones; null: no more.")


class Trial(Envelope):
    """One configuration that was trained, or is being trained."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int
    request_id: str
    stage: Literal["race", "search", "confirm"]
    state: Literal["running", "complete", "censored", "diverged", "infeasible"]
    global_batch_size: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    seed: int
    steps: float | None = Field(description="Optimizer steps, to the target if it was reached.")
    calibrated_seconds: float | None = Field(description="Those steps at the measured step time.")
    metric: float | None = Field(description="Smoothed metric at the end.")
    asam: float | None = Field(description="ASAM sharpness at the end, where measured.")


class TrialPage(Envelope):
    """Some trials of a job, in the order in which they were started."""

    items: list[Trial]
    next_cursor: str | None = Field(description="Give it back for the next ones; null: no more.")


class RunningAttempt(Envelope):
    """What a device is busy with."""

    job_id: str
    request_id: str
    number: int


class Worker(Envelope):
    """A device and its child process."""

    id: str
    accelerator: Literal["cpu", "cuda"]
    kind: str
    name: str
    memory_bytes: int
    attempt: RunningAttempt | None = Field(description="Null: the device is idle.")
    child_pid: int | None
    child_restarts: int


class ControllerStatus(Envelope):
    """The process that drives the jobs."""

    state: Literal["fresh", "stale", "absent"] = Field(
        description="Whether it was seen lately; a stale one is dead, or cannot write."
    )
    seen_at: datetime | None
    pid: int | None


class WorkerList(Envelope):
    """The devices, as the controller last saw them."""

    controller: ControllerStatus
    items: list[Worker]


class DatasetSize(Envelope):
    """A data set that ships with scikit-learn."""

    name: str
    task: Task
    num_samples: int


class Catalog(Envelope):
    """What can be asked for here."""

    tasks: list[Task]
    metrics: list[Metric]
    builtin_models: list[str]
    architectures: list[str] = Field(description="Values of `model_type` of `hf_config`.")
    sklearn_datasets: list[DatasetSize]
    file_formats: list[str]
    optimizers: list[str]
    schedules: list[str]
    objectives: list[str]
    samplers: list[str]
    precisions: list[str]
    entrypoint_prefixes: list[str] = Field(description="Empty: no code of your own runs here.")
    files_allowed: bool = Field(description="Whether the operator configured a file root.")
    max_body_bytes: int


class Liveness(Envelope):
    """The API process answers."""

    state: Literal["alive"]


class Readiness(Envelope):
    """The API can do its work; a missing controller is reported, jobs then wait."""

    state: Literal["ready"]
    schema_revision: str
    controller: ControllerStatus
