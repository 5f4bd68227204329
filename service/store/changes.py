"""What has changed about several jobs at once, for those who follow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.database import Database
from service.store.tables import Job, Key, Trial

NOTHING_KNOWN: Final = 0
"""Revision of one who knows nothing: that of a job is 1 from the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one job.

    Args:
        job: As it is now.
        trials: Those that changed after the revision that was known, by position.
        dated_from: Changes of trials can be told apart from this revision on. It is above 0
            where a version that did not write revisions of trials has worked on the job.
    """

    job: Job
    trials: Sequence[Trial]
    dated_from: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the store has found.

    Args:
        changed: By id; jobs that are as they were are missing.
        gone: Ids of jobs that are not there any more.
        revoked: Ids of jobs whose owner's key was revoked.
    """

    changed: Mapping[str, Change]
    gone: frozenset[str]
    revoked: frozenset[str]


class Changes:
    """Jobs as those see them who follow them.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, known: Mapping[str, int]) -> Look:
        """Read what changed, in one transaction for all of the jobs.

        Args:
            known: The revision that is known of each job, by id; `NOTHING_KNOWN` for all of it.

        Returns:
            What is different now.
        """
        query = (
            select(Job.id, Job.revision, Key.revoked_at)
            .join(Key, Key.id == Job.owner, isouter=True)
            .where(Job.id.in_(known))
        )
        with self._database.read() as session:
            rows = session.execute(query).all()
            revisions = {row.id: row.revision for row in rows}
            moved = [name for name, revision in revisions.items() if revision != known[name]]
            jobs = session.scalars(select(Job).where(Job.id.in_(moved))) if moved else ()
            changed = {job.id: _change(session, job, known[job.id]) for job in jobs}
        return Look(
            changed=changed,
            gone=frozenset(known.keys() - revisions.keys()),
            revoked=frozenset(row.id for row in rows if row.revoked_at is not None),
        )


def _change(session: Session, job: Job, known: int) -> Change:
    of_job = Trial.job_number == job.number
    query = select(Trial).where(of_job).order_by(Trial.position)
    if known == NOTHING_KNOWN:
        dated_from = _dated_from(session, job)
    else:
        query, dated_from = query.where(Trial.revision > known), NOTHING_KNOWN
    return Change(job=job, trials=session.scalars(query).all(), dated_from=dated_from)


def _dated_from(session: Session, job: Job) -> int:
    """Find the revision from which on every change of a trial has one.

    A trial without a revision changed before the first one that has it: the migration lies
    between the two.
    """
    of_job = Trial.job_number == job.number
    undated = select(func.count()).select_from(Trial).where(of_job, Trial.revision == 0)
    if not session.scalar(undated):
        return NOTHING_KNOWN
    first = session.scalar(select(func.min(Trial.revision)).where(of_job, Trial.revision > 0))
    return job.revision if first is None else first
