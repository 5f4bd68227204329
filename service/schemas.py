"""Envelopes of the API. What is inside of them, request and answer, comes from the tuner."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from service.callbacks.destination import shown_url
from service.kinds import facts_of
from service.problems import Problem, make_problem
from service.store import tables
from tuner.recommendation import Recommendation
from tuner.spec import Metric, Task

Stage = Literal[
    "inspect", "memory", "timing", "verify", "race", "plan", "search", "confirm", "recommend"
]


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


class CallbackStatus(Envelope):
    """Whether the message about the end of a job has arrived."""

    url: str = Field(description="Whom to tell; the query is not shown, since it may be secret.")
    state: Literal["waiting", "pending", "delivered", "given_up"] = Field(
        description="`waiting` for the end of the job, `pending` until a try succeeds."
    )
    attempts: int = Field(description="Tries so far.")
    last_status: int | None = Field(description="HTTP status of the last answer, if any.")
    last_error: str | None = Field(description="Why the last try has failed.")

    @classmethod
    def of(cls, callback: tables.Callback) -> Self:
        """Show a stored callback."""
        fields = {name: getattr(callback, name) for name in cls.model_fields}
        return cls.model_validate({**fields, "url": shown_url(callback.url)})


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
    callback: CallbackStatus | None = Field(description="Null: nobody is told of the end.")

    @classmethod
    def of(cls, job: tables.Job) -> Self:
        """Show a stored job, also one whose answer another version wrote."""
        fields: dict[str, Any] = {
            name: getattr(job, name) for name in cls.model_fields if name != "recommendation"
        }
        fields["callback"] = CallbackStatus.of(job.callback) if job.callback else None
        try:
            return cls.model_validate({**fields, "recommendation": job.answer})
        except ValidationError:
            shown = {**fields, "progress": None, "recommendation": None}
            return cls.model_validate({**shown, "problem": unreadable(job)})


def unreadable(job: tables.Job) -> Problem:
    """Say that another version wrote what was asked for."""
    detail = f"Another version of batchscout wrote this about {job.id}; run the request again."
    instance = facts_of(job.kind).address(job.id)
    return make_problem("incompatible_upgrade", detail, instance=instance)


class TuningJobPage(Envelope):
    """Some jobs, the newest first."""

    items: list[TuningJob]
    next_cursor: str | None = Field(description="Give it back for the next ones; null: no more.")


class Trial(Envelope):
    """One configuration that was trained, or is being trained."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int
    request_id: str
    stage: Literal["verify", "race", "search", "confirm"]
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
    busy_seconds: float | None = Field(
        default=None, description="Spent with work since the controller started."
    )
    busy_share: float | None = Field(
        default=None, description="Part of the last five minutes with work, from 0 to 1."
    )


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


class CatalogCard(Envelope):
    """A card that memory can be estimated for without having it."""

    name: str
    memory_bytes: int = Field(description="What torch reports as its memory.")
    usable_bytes: int = Field(description="What is left for torch's allocator.")
    source: str = Field(description="Where the capacity comes from.")
    reserve_source: str = Field(description="Where the difference of the two comes from.")


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
    cards: list[CatalogCard] = Field(description="Values of `gpus` of a memory estimate.")
    entrypoint_prefixes: list[str] = Field(description="Empty: no code of your own runs here.")
    files_allowed: bool = Field(description="Whether the operator configured a file root.")
    max_body_bytes: int


class MemorySplit(Envelope):
    """What the memory of a training step is made of."""

    parameter_bytes: int
    gradient_bytes: int = Field(description="Gradients of the trained parameters.")
    optimizer_state_bytes: int = Field(description="State that the optimizer keeps on the card.")
    buffer_bytes: int = Field(description="Buffers of the model.")
    data_bytes: int = Field(description="Data that lie on the card; 0 where they do not fit well.")
    activation_bytes_per_sample: int = Field(
        description="By what the peak of forward and backward passes grows per sample."
    )
    workspace_and_context_bytes: int = Field(
        description="What the driver's context and libraries hold besides torch's tensors."
    )


class CardEstimate(Envelope):
    """What is predicted for one card. Nothing of it was measured on that card."""

    name: str
    memory_bytes: int = Field(description="What torch reports as the card's memory.")
    usable_bytes: int = Field(description="What torch may hold: the card's own, or your limit.")
    source: str = Field(description="Where the card's capacity comes from.")
    reserve_source: str = Field(description="Where the bytes of context and libraries come from.")
    max_micro_batch_size: int = Field(
        description="Predicted largest size that keeps to the margin; 0: not even one sample."
    )
    limited_by: Literal["memory", "dataset", "bound"] = Field(
        description="What ends the search: memory, the training samples, or the largest size that "
        "can be asked for."
    )
    bytes_per_sample: int = Field(description="By what the highest peak grows per sample.")
    split: MemorySplit
    micro_batch_size: int = Field(description="The size that the rest is about.")
    live_bytes: int = Field(description="Peak of what tensors take.")
    reserved_bytes: int = Field(description="Peak of what torch's allocator holds.")
    total_bytes: int = Field(description="The same with context and libraries.")
    verdict: Literal["fits", "unsure", "does_not_fit"]


class VerdictBands(Envelope):
    """Where the verdicts end."""

    fits_share: float = Field(description="It fits up to this share of the card, all included.")
    does_not_fit_share: float = Field(
        description="It does not fit where live tensors alone take more than this share."
    )
    calibrated: bool = Field(
        description="Whether the shares come from errors that were measured on a card."
    )


class MemoryEstimate(Envelope):
    """Predicted memory of one training step on some cards."""

    verdict: Literal["fits", "unsure", "does_not_fit"] = Field(description="The worst of all.")
    micro_batch_size: int | None = Field(description="As asked; null: verdicts about one sample.")
    estimates: list[CardEstimate] = Field(description="One a card, in the order asked for.")
    bands: VerdictBands
    device_seconds: float = Field(description="What the traces took when they were made.")
    cached: bool = Field(description="Whether the same question was answered before.")


class Liveness(Envelope):
    """The API process answers."""

    state: Literal["alive"]


class Readiness(Envelope):
    """The API can do its work; a missing controller is reported, jobs then wait."""

    state: Literal["ready"]
    schema_revision: str
    controller: ControllerStatus
