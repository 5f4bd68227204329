"""From what is stored to evidence."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any, Final

from pydantic import ValidationError

from service.evidence.measured import Measured, measured_of
from service.evidence.runs import runs_of
from service.evidence.study import StudyEvidence
from service.evidence.tuning import AttemptEvidence, EventEvidence, MemoryEvidence, TuningEvidence
from service.problems import Problem
from service.schemas import unreadable
from service.store.recorded import Recorded
from service.store.tables import Attempt, Job, Record
from tuner.recommendation import Part, Recommendation
from tuner.study_findings import StudyFindings
from tuner.surface import Surface

_NAMED: Final = ("batchscout", "torch", "numpy", "scikit-learn", "scipy", "optuna")


def tuning_evidence(recorded: Recorded) -> TuningEvidence:
    """Gather the evidence of a tuning job.

    What another version wrote and this one cannot read is left out; where that is the answer,
    the problem says so.

    Args:
        recorded: All that is stored of it.
    """
    job = recorded.job
    measured = measured_of(recorded)
    answer, problem = _outcome(job, job.answer, Recommendation)
    return TuningEvidence(
        **_common(recorded),
        answer=answer if isinstance(answer, Recommendation) else None,
        problem=problem,
        inspection=measured.inspection,
        memory=_memory(measured, answer),
        memory_limit_bytes=_limit(measured, answer),
        timings=measured.timings,
        evaluation_seconds=measured.evaluation_seconds,
        runs=runs_of(recorded),
        surface=_surface(job.surface),
        seconds_by_stage=measured.seconds_by_stage,
        versions=versions(measured),
    )


def study_evidence(recorded: Recorded) -> StudyEvidence:
    """Gather the evidence of a study, as `tuning_evidence` does.

    Args:
        recorded: All that is stored of it.
    """
    findings, problem = _outcome(recorded.job, recorded.findings, StudyFindings)
    return StudyEvidence(
        **_common(recorded),
        findings=findings if isinstance(findings, StudyFindings) else None,
        problem=problem,
        versions=versions(measured_of(recorded)),
    )


def versions(measured: Measured) -> dict[str, str]:
    """Say what runs this service, and which torch has measured.

    Args:
        measured: Of a job.
    """
    found = {"python": platform.python_version()}
    for name in _NAMED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if measured.inspection is not None:
        found["torch"] = measured.inspection.device.torch_version
    return found


def _common(recorded: Recorded) -> dict[str, Any]:
    job = recorded.job
    names = (
        "state",
        "stage",
        "revision",
        "created_at",
        "started_at",
        "finished_at",
        "spec",
        "spec_digest",
        "fingerprint",
        "progress",
    )
    return {name: getattr(job, name) for name in names} | {
        "job_id": job.id,
        "attempts": tuple(_attempt(attempt) for attempt in recorded.attempts),
        "events": tuple(_event(record) for record in recorded.records),
    }


def _outcome(job: Job, stored: Any, kind: type[Part]) -> tuple[Part | None, Problem | None]:
    try:
        answer = None if stored is None else kind.model_validate(stored)
        problem = None if job.problem is None else Problem.model_validate(job.problem)
    except ValidationError:
        return None, unreadable(job)
    return answer, problem


def _surface(stored: Mapping[str, Any] | None) -> Surface | None:
    try:
        return None if stored is None else Surface.read(stored)
    except (KeyError, TypeError, ValueError):  # another version wrote it: it is only a picture
        return None


def _memory(measured: Measured, answer: Part | None) -> tuple[MemoryEvidence, ...]:
    """The curve of the answer, which is the whole one; before that, what is known of it."""
    if not isinstance(answer, Recommendation):
        return measured.memory
    return tuple(
        MemoryEvidence(
            micro_batch_size=point.micro_batch_size,
            predicted_bytes=point.predicted_bytes,
            measured_bytes=point.measured_bytes,
            out_of_memory=point.out_of_memory,
        )
        for point in answer.memory_curve
    )


def _limit(measured: Measured, answer: Part | None) -> int | None:
    if isinstance(answer, Recommendation):
        return answer.memory_limit_bytes
    return measured.memory_limit_bytes


def _attempt(row: Attempt) -> AttemptEvidence:
    return AttemptEvidence(
        request_id=row.request_id,
        number=row.number,
        state=row.state,
        cause=row.cause,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _event(row: Record) -> EventEvidence:
    event = row.event
    request = event.get("request")
    named = request.get("id") if isinstance(request, Mapping) else event.get("request_id")
    return EventEvidence(
        sequence=row.sequence,
        at=row.created_at,
        kind=str(event.get("record")),
        request_id=None if named is None else str(named),
        detail=_detail(event),
    )


def _detail(event: Mapping[str, Any]) -> str:
    match event.get("record"):
        case "AttemptLost":
            return str(event.get("cause"))
        case "Stop":
            return str(event.get("reason"))
        case "CapacityChanged":
            return f"{event.get('slots')} at once on {event.get('device_kind')}"
        case "Failed":
            problem = event.get("problem")
            return str(problem.get("detail")) if isinstance(problem, Mapping) else ""
    return ""
