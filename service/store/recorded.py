"""All that is stored of one job, read in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from service.store.database import Database
from service.store.tables import Attempt, FindingsRow, Job, Record, ResultRow, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A job and everything that belongs to it.

    Args:
        job: The job.
        records: What happened, in order.
        results: What each request measured, as stored.
        attempts: In the order of their start.
        trials: In the order of their start.
        findings: All that a study found, as stored; None of a tuning, and before its end.
    """

    job: Job
    records: tuple[Record, ...]
    results: Mapping[str, Mapping[str, Any]]
    attempts: tuple[Attempt, ...]
    trials: tuple[Trial, ...]
    findings: Mapping[str, Any] | None = None


def read_recorded(database: Database, job_number: int) -> Recorded | None:
    """Read a job with everything that belongs to it, as it was at one moment.

    Args:
        database: Where it is.
        job_number: Which job.

    Returns:
        All of it; None if the job is gone.
    """
    with database.read() as session:
        job = session.scalar(select(Job).where(Job.number == job_number))
        if job is None:
            return None
        records = select(Record).where(Record.job_number == job_number).order_by(Record.sequence)
        results = select(ResultRow).where(ResultRow.job_number == job_number)
        attempts = (
            select(Attempt)
            .where(Attempt.job_number == job_number)
            .order_by(Attempt.started_at, Attempt.request_id, Attempt.number)
        )
        trials = select(Trial).where(Trial.job_number == job_number).order_by(Trial.position)
        findings = session.get(FindingsRow, job_number)
        return Recorded(
            job=job,
            records=tuple(session.scalars(records)),
            results={row.request_id: row.payload for row in session.scalars(results)},
            attempts=tuple(session.scalars(attempts)),
            trials=tuple(session.scalars(trials)),
            findings=None if findings is None else findings.payload,
        )
