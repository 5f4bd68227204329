"""The evidence of a batch-size study, as reports and charts read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.evidence.tuning import AttemptEvidence, EventEvidence
from service.problems import Problem
from tuner.study_findings import StudyFindings


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEvidence:
    """All that is stored of one study.

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
        fingerprint: Of all that the findings depend on, once known.
        findings: What it found; None before its end.
        problem: Why there are none, or None.
        progress: As the API shows it.
        attempts: Every try at every request, in the order of their start.
        events: Everything that happened, in order.
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
    findings: StudyFindings | None
    problem: Problem | None
    progress: Mapping[str, Any] | None
    attempts: tuple[AttemptEvidence, ...]
    events: tuple[EventEvidence, ...]
    versions: Mapping[str, str]

    @property
    def lost(self) -> tuple[AttemptEvidence, ...]:
        """The attempts that ended without a result."""
        return tuple(attempt for attempt in self.attempts if attempt.state == "lost")
