"""The evidence of a tuning job, as reports and charts read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.problems import Problem
from tuner.recommendation import Recommendation
from tuner.records import CurvePoint, Inspection, NoiseWindow, PassTiming
from tuner.surface import Surface


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """One training run with all that it showed.

    Args:
        number: Counts from 0 in starting order.
        request_id: Of the run.
        stage: `verify`, `race`, `search` or `confirm`.
        state: `running`, `complete`, `censored`, `diverged` or `infeasible`.
        global_batch_size: Samples per optimizer step.
        micro_batch_size: Samples per pass.
        gradient_accumulation_steps: Passes per optimizer step.
        learning_rate: Peak rate.
        seed: Of the training.
        steps: To the target if it was reached, else taken.
        step_seconds: Calibrated seconds of one optimizer step; None where it took none.
        calibrated_seconds: Steps times that.
        metric: Smoothed metric at the end.
        asam: ASAM sharpness at the end.
        keskar: Keskar's phi there.
        hessian_top_eigenvalue: Of the Hessian there.
        curve: Every evaluation.
        noise: Steps that were split for the gradient noise scale.
        limit_steps: Step limit that really held.
        device_seconds: Wall seconds that it cost; None where it runs, or was stacked.
        stacked_in: Id of the request that trained it beside others, or None.
    """

    number: int
    request_id: str
    stage: str
    state: str
    global_batch_size: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    seed: int
    steps: float | None = None
    step_seconds: float | None = None
    calibrated_seconds: float | None = None
    metric: float | None = None
    asam: float | None = None
    keskar: float | None = None
    hessian_top_eigenvalue: float | None = None
    curve: tuple[CurvePoint, ...] = ()
    noise: tuple[NoiseWindow, ...] = ()
    limit_steps: int | None = None
    device_seconds: float | None = None
    stacked_in: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEvidence:
    """One micro-batch size whose memory was predicted or measured, or both.

    Args:
        micro_batch_size: Samples per pass.
        predicted_bytes: Highest live bytes of any phase, as traced; None where it was not.
        measured_bytes: The same, as run; None where it was not, or ran out of memory.
        out_of_memory: Whether it ran out; None where it was not run.
    """

    micro_batch_size: int
    predicted_bytes: int | None
    measured_bytes: int | None
    out_of_memory: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEvidence:
    """One try at one request.

    Args:
        request_id: What was tried.
        number: Counts from 1.
        state: `starting`, `running`, `finished` or `lost`.
        cause: Of its loss.
        started_at: When it was handed to a device.
        ended_at: When it ended, or None.
    """

    request_id: str
    number: int
    state: str
    cause: str | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEvidence:
    """One thing that happened.

    Args:
        sequence: Counts from 1 in the order in which it is replayed.
        at: When it was recorded.
        kind: Name of the record, such as `Started` or `Result`.
        request_id: Which request it is about, or None.
        detail: What else is to be said, for people.
    """

    sequence: int
    at: datetime
    kind: str
    request_id: str | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningEvidence:
    """All that is stored of one tuning job.

    Args:
        job_id: As people see it.
        state: Of the job.
        stage: That it is in, or None.
        revision: Of the job when it was read.
        created_at: When it was asked for.
        started_at: When it began to run.
        finished_at: When it ended.
        spec: The request, word for word.
        spec_digest: Of the request.
        fingerprint: Of all that the answer depends on, once known.
        answer: The recommendation, or None.
        problem: Why there is none, or None.
        progress: As the API shows it.
        inspection: What data, model and device are; None before it was looked.
        memory: Every micro-batch size, ascending.
        memory_limit_bytes: What a run may use; None before it is known.
        timings: Step times, by ascending micro-batch size, the steadiest of each.
        evaluation_seconds: Of one evaluation of the validation set.
        runs: Every training run, in starting order.
        surface: What is believed of batches and rates, or None.
        attempts: Every try at every request, in the order of their start.
        events: Everything that happened, in order.
        seconds_by_stage: Device seconds of each stage that cost any, lost attempts included.
        versions: Of what runs this service, by name.
    """

    job_id: str
    state: str
    stage: str | None
    revision: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    spec: Mapping[str, Any]
    spec_digest: str
    fingerprint: str | None
    answer: Recommendation | None
    problem: Problem | None
    progress: Mapping[str, Any] | None
    inspection: Inspection | None
    memory: tuple[MemoryEvidence, ...]
    memory_limit_bytes: int | None
    timings: tuple[PassTiming, ...]
    evaluation_seconds: float | None
    runs: tuple[RunEvidence, ...]
    surface: Surface | None
    attempts: tuple[AttemptEvidence, ...]
    events: tuple[EventEvidence, ...]
    seconds_by_stage: Mapping[str, float]
    versions: Mapping[str, str]

    @property
    def metric(self) -> str:
        """Name of the metric of the objective."""
        objective = self.spec.get("objective")
        named = objective.get("metric") if isinstance(objective, Mapping) else None
        return str(named or "validation_loss")

    @property
    def target(self) -> float | None:
        """The target, given or found; None where there is none."""
        if self.answer is not None:
            return self.answer.target
        objective = self.spec.get("objective")
        given = objective.get("target") if isinstance(objective, Mapping) else None
        return float(given) if isinstance(given, int | float) else None

    @property
    def lost(self) -> tuple[AttemptEvidence, ...]:
        """The attempts that ended without a result."""
        return tuple(attempt for attempt in self.attempts if attempt.state == "lost")
