"""Callbacks in the store: due with the end of their job, claimed, and settled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.store.database import Database, now
from service.store.tables import Callback, CallbackState, Job


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCallback:
    """A message that is to be sent now.

    Args:
        id: Of the message.
        url: Whom to tell; it may hold a secret of the receiver.
        attempts: Tries whose outcome is known.
        owner: Whose secret signs it.
        job_kind: Kind of the job that it is about.
        job_id: Which job that is.
        job_state: How that ended.
        finished_at: When.
    """

    id: str
    url: str = field(repr=False)
    attempts: int
    owner: str | None
    job_kind: str
    job_id: str
    job_state: str
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What one try leads to.

    Args:
        state: From now on.
        next_at: When to try again; None for never.
        status: HTTP status of the answer, if there was one.
        error: Why it has not arrived.
    """

    state: CallbackState
    next_at: datetime | None
    status: int | None
    error: str | None


class Callbacks:
    """Callbacks as the outbox sees them.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, limit: int) -> Sequence[DueCallback]:
        """Read what is due, the longest waiting first.

        Args:
            limit: How many at most.

        Returns:
            The messages; they are still to be claimed.
        """
        query = (
            select(Callback, Job.kind, Job.id, Job.owner, Job.state, Job.finished_at)
            .join(Job, Job.number == Callback.job_number)
            .where(Callback.state == CallbackState.PENDING, Callback.next_at <= now())
            .order_by(Callback.next_at)
            .limit(limit)
        )
        with self._database.read() as session:
            return [
                DueCallback(
                    id=row.id,
                    url=row.url,
                    attempts=row.attempts,
                    owner=owner,
                    job_kind=kind,
                    job_id=job_id,
                    job_state=state,
                    finished_at=finished_at or row.created_at,
                )
                for row, kind, job_id, owner, state, finished_at in session.execute(query)
            ]

    def claim(self, ids: Collection[str], *, until: datetime) -> frozenset[str]:
        """Take messages for sending.

        Whoever dies before it settles them leaves them due again at `until`: a message may be
        sent twice, it is never lost.

        Args:
            ids: Which ones.
            until: How long nobody else takes them.

        Returns:
            Those that were still to be had.
        """
        with self._database.write() as session:
            taken = session.scalars(
                update(Callback)
                .where(
                    Callback.id.in_(ids),
                    Callback.state == CallbackState.PENDING,
                    Callback.next_at <= now(),
                )
                .values(next_at=until)
                .returning(Callback.id)
                .execution_options(synchronize_session=False)
            )
            return frozenset(taken)

    def settle(self, callback_id: str, settlement: Settlement) -> None:
        """Write what came of a try. Of a message that is gone, or settled already, nothing is.

        Args:
            callback_id: Which message.
            settlement: What came of it.
        """
        moment = now()
        with self._database.write() as session:
            row = session.get(Callback, callback_id, with_for_update=True)
            if row is None or row.state != CallbackState.PENDING:
                return
            row.attempts += 1
            row.state, row.next_at = settlement.state, settlement.next_at
            row.last_status, row.last_error = settlement.status, settlement.error
            if settlement.state is CallbackState.DELIVERED:
                row.delivered_at = moment
            # It is shown with its job: who knows the job's ETag has to see that it changed.
            session.execute(
                update(Job)
                .where(Job.number == row.job_number)
                .values(revision=Job.revision + 1, updated_at=moment)
                .execution_options(synchronize_session=False)
            )

    def counts(self) -> dict[str, int]:
        """Count the callbacks in each state that occurs."""
        with self._database.read() as session:
            rows = session.execute(select(Callback.state, func.count()).group_by(Callback.state))
            return {state: count for state, count in rows}  # noqa: C416 - rows are no pairs to mypy


def release(session: Session, job_number: int, moment: datetime) -> None:
    """Have the callbacks of a job sent: called in the transaction in which it ends."""
    session.execute(
        update(Callback)
        .where(Callback.job_number == job_number, Callback.state == CallbackState.WAITING)
        .values(state=CallbackState.PENDING, next_at=moment)
    )
