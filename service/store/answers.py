"""Answers that were given before: found by fingerprint, within one owner's jobs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import Job, JobState
from tuner.deciding.answered import is_lasting
from tuner.recommendation import Recommendation
from tuner.records import PastAnswer

LOOKED_AT: Final = 8
"""Past jobs that are looked at, the newest first: if none of them will do, it is measured."""

_log = logging.getLogger(__name__)


def find_answer(session: Session, fingerprint: str, *, owner: str | None) -> PastAnswer | None:
    """Look for an answer that is worth giving again.

    What one owner had answered is no other owner's business, not even that it was.

    Args:
        session: Reads the store.
        fingerprint: Of the request, its data and its device.
        owner: Whose jobs are looked at; None are those of nobody.

    Returns:
        The answer of the job that ended last; of one that was itself given the answer of
        another, that other one. None if there is none that lasts and that this version reads.
    """
    # In the order of their ends, so that what was measured anew comes before older answers.
    query = (
        select(Job.id, Job.answer, Job.finished_at)
        .where(Job.fingerprint == fingerprint, Job.owner == owner, Job.state == JobState.SUCCEEDED)
        .order_by(Job.finished_at.desc(), Job.number.desc())
        .limit(LOOKED_AT)
    )
    for job_id, stored, finished_at in session.execute(query):
        answer = _read(job_id, stored)
        if answer is None or not is_lasting(answer):
            continue
        source = answer.answered_from
        return PastAnswer(
            fingerprint=fingerprint,
            job_id=source.job_id if source else job_id,
            measured_at=source.measured_at if source else finished_at.isoformat(),
            answer=stored,
        )
    return None


def _read(job_id: str, stored: Mapping[str, Any] | None) -> Recommendation | None:
    try:
        return Recommendation.model_validate(stored)
    except ValidationError as error:
        _log.warning("the answer of %s cannot be read: %d errors", job_id, error.error_count())
        return None
