"""Remove a job with all that belongs to it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from service.store.tables import (
    Attempt,
    Callback,
    FindingsRow,
    Idempotency,
    Job,
    KnowledgeRow,
    Record,
    ResultRow,
    Trial,
)

BELONGINGS: Final = (Record, ResultRow, Attempt, Trial, KnowledgeRow, FindingsRow, Callback)
"""Tables whose rows name the number of their job."""


def delete_rows(session: Session, job: Job) -> None:
    """Delete a job and every row that belongs to it, within a transaction of the caller.

    Args:
        session: The transaction.
        job: A job that has ended.
    """
    for table in BELONGINGS:
        session.execute(delete(table).where(table.job_number == job.number))
    of_job = Idempotency.owner == (job.owner or ""), Idempotency.job_id == job.id
    session.execute(delete(Idempotency).where(*of_job))
    session.delete(job)
