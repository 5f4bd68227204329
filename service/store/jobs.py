"""The API's half of the store: jobs come in, are asked for a cancel, and are read."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, text
from sqlalchemy.orm import Session

from service.store.callbacks import release
from service.store.database import Database, now
from service.store.deletion import delete_rows
from service.store.figures import Figures, read_figures
from service.store.idempotency import KEPT, forget_old_keys
from service.store.recorded import Recorded, read_recorded
from service.store.tables import (
    TERMINAL,
    Callback,
    CallbackState,
    ControllerRow,
    Device,
    FindingsRow,
    Idempotency,
    Job,
    JobKind,
    JobState,
    Trial,
)
from tuner.spec import digest


class QueueFull(Exception):
    """As many jobs are queued as the operator allows; the caller should come back later.

    Args:
        of_owner: Whether it is the limit of one key, not that of all.
    """

    def __init__(self, *, of_owner: bool) -> None:
        super().__init__("the queue is full")
        self.of_owner = of_owner


class KeyReused(Exception):
    """An `Idempotency-Key` has come before, with another request."""


class NotFinished(Exception):
    """The job has not ended, so it cannot be removed.

    Args:
        state: The state it is in.
    """

    def __init__(self, state: str) -> None:
        super().__init__(f"the job is {state}")
        self.state = state


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a job was asked for, beside its spec.

    Args:
        kind: What the job is about.
        owner: Id of the key that asked; None where there are no keys.
        max_queued: Jobs of this owner that may be queued at once; None for no limit of its own.
        forced: Whether what is known is measured again.
        callback_url: Whom to tell of the end.
        idempotency_key: Under which the same request leads to the same job.
    """

    kind: JobKind = JobKind.TUNING
    owner: str | None = None
    max_queued: int | None = None
    forced: bool = False
    callback_url: str | None = field(default=None, repr=False)
    idempotency_key: str | None = None


class Jobs:
    """Jobs as the API sees them.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def asked_before(self, spec_digest: str, asked: Asked) -> Job | None:
        """Find the job that the same request has already led to.

        Args:
            spec_digest: Over the user's own JSON.
            asked: How the job is asked for.

        Returns:
            The job; None if the request has no key, or a new one.

        Raises:
            KeyReused: The key came before with another request.
        """
        with self._database.read() as session:
            return _asked_before(session, spec_digest, asked)

    def create(
        self,
        spec: Mapping[str, Any],
        spec_digest: str,
        *,
        max_queued: int,
        asked: Asked = Asked(),
    ) -> Job:
        """Queue a job; it is committed when this returns.

        Args:
            spec: The user's own JSON.
            spec_digest: Over the same.
            max_queued: Jobs that may be queued at once.
            asked: How it was asked for.

        Returns:
            The new job, or that of an earlier request under the same key.

        Raises:
            QueueFull: There are that many already.
            KeyReused: The key came before with another request.
        """
        with self._database.write() as session:
            if asked.idempotency_key is not None:
                forget_old_keys(session)
            before = _asked_before(session, spec_digest, asked)
            if before is not None:
                return before
            if _queued(session) >= max_queued:
                raise QueueFull(of_owner=False)
            if asked.max_queued is not None and (
                _queued(session, Job.owner == asked.owner) >= asked.max_queued
            ):
                raise QueueFull(of_owner=True)
            created = now()
            job = Job(
                id=f"{asked.kind.id_prefix}{secrets.token_hex(12)}",
                kind=asked.kind,
                state=JobState.QUEUED,
                desired_state="finished",
                stage=None,
                revision=1,
                last_sequence=0,
                spec=dict(spec),
                spec_digest=spec_digest,
                owner=asked.owner,
                fingerprint=None,
                forced=asked.forced,
                progress=None,
                answer=None,
                problem=None,
                created_at=created,
                started_at=None,
                finished_at=None,
                updated_at=created,
                callback=_callback(asked.callback_url, created),
            )
            session.add(job)
            session.flush()
            _remember(session, job, asked)
        return job

    def get(
        self, job_id: str, *, owner: str | None = None, kind: JobKind | None = None
    ) -> Job | None:
        """Read one job.

        Args:
            job_id: Which job.
            owner: Only if it is this one's; None: whoever has it.
            kind: Only if it is of this kind; None: of any.

        Returns:
            The job; None if there is none of that id.
        """
        with self._database.read() as session:
            return session.scalar(_one(job_id, owner, kind))

    def findings(self, job_number: int) -> Mapping[str, Any] | None:
        """Read all that a study found; megabytes, so for those alone who ask for it.

        Args:
            job_number: Which job.

        Returns:
            A `StudyFindings` as plain JSON; None if it has not succeeded.
        """
        with self._database.read() as session:
            row = session.get(FindingsRow, job_number)
            return None if row is None else row.payload

    def page(
        self,
        *,
        limit: int,
        before: int | None = None,
        state: JobState | None = None,
        owner: str | None = None,
        kind: JobKind | None = None,
    ) -> Sequence[Job]:
        """Read jobs, the newest first.

        Args:
            limit: How many at most.
            before: Only jobs that came before the one of this number.
            state: Only jobs in this state.
            owner: Only this one's jobs; None: everybody's.
            kind: Only jobs of this kind; None: of every kind.

        Returns:
            The jobs.
        """
        query = select(Job).order_by(Job.number.desc()).limit(limit)
        if before is not None:
            query = query.where(Job.number < before)
        if state is not None:
            query = query.where(Job.state == state)
        if owner is not None:
            query = query.where(Job.owner == owner)
        if kind is not None:
            query = query.where(Job.kind == kind)
        with self._database.read() as session:
            return session.scalars(query).all()

    def cancel(
        self, job_id: str, *, owner: str | None = None, kind: JobKind | None = None
    ) -> Job | None:
        """Ask for the end of a job. Asking again, or too late, changes nothing.

        Args:
            job_id: Which job.
            owner: Only if it is this one's; None: whoever has it.
            kind: Only if it is of this kind; None: of any.

        Returns:
            The job as it is now: `cancelled` if it was queued, `cancelling` until its
            measurements have ended otherwise; None if there is none of that id.
        """
        with self._database.write() as session:
            job = session.scalar(_one(job_id, owner, kind).with_for_update())
            if job is None or job.state in TERMINAL or job.desired_state == "cancelled":
                return job
            job.desired_state = "cancelled"
            job.revision += 1
            job.updated_at = now()
            if job.state == JobState.QUEUED:
                job.state, job.finished_at = JobState.CANCELLED, job.updated_at
                release(session, job.number, job.updated_at)
            else:
                job.state = JobState.CANCELLING
        return job

    def delete(self, job_id: str, *, owner: str | None = None, kind: JobKind | None = None) -> bool:
        """Remove a job that has ended, with all that belongs to it.

        Args:
            job_id: Which job.
            owner: Only if it is this one's; None: whoever has it.
            kind: Only if it is of this kind; None: of any.

        Returns:
            Whether there was one of that id.

        Raises:
            NotFinished: It has not ended; nothing was removed.
        """
        with self._database.write() as session:
            job = session.scalar(_one(job_id, owner, kind).with_for_update())
            if job is None:
                return False
            if job.state not in TERMINAL:
                raise NotFinished(job.state)
            delete_rows(session, job)
        return True

    def revisions(self, job_ids: Collection[str]) -> dict[str, tuple[int, str]]:
        """Read the revision and the state of several jobs at once."""
        query = select(Job.id, Job.revision, Job.state).where(Job.id.in_(job_ids))
        with self._database.read() as session:
            return {row.id: (row.revision, row.state) for row in session.execute(query)}

    def trials(self, job_number: int, *, limit: int, after: int | None = None) -> Sequence[Trial]:
        """Read trials of a job in the order in which they were started.

        Args:
            job_number: Which job.
            limit: How many at most.
            after: Only trials after this position.

        Returns:
            The trials.
        """
        query = select(Trial).where(Trial.job_number == job_number)
        if after is not None:
            query = query.where(Trial.position > after)
        with self._database.read() as session:
            return session.scalars(query.order_by(Trial.position).limit(limit)).all()

    def recorded(self, job_number: int) -> Recorded | None:
        """Read all that is stored of a job; see `read_recorded`."""
        return read_recorded(self._database, job_number)

    def devices(self) -> tuple[ControllerRow | None, Sequence[Device]]:
        """Read when the controller was last seen, and what its devices did then."""
        with self._database.read() as session:
            controller = session.scalar(select(ControllerRow))
            return controller, session.scalars(select(Device).order_by(Device.id)).all()

    def figures(self) -> Figures:
        """Read the state of the service in numbers."""
        return read_figures(self._database)

    def counts(self) -> dict[str, int]:
        """Count the jobs in each state that occurs."""
        with self._database.read() as session:
            rows = session.execute(select(Job.state, func.count()).group_by(Job.state))
            return {state: count for state, count in rows}  # noqa: C416 - rows are no pairs to mypy

    def revision(self) -> str | None:
        """The schema revision that the database states; raises what the driver raises."""
        with self._database.read() as session:
            found = session.scalar(text("SELECT version_num FROM alembic_version"))
            return str(found) if found is not None else None


def _one(job_id: str, owner: str | None, kind: JobKind | None) -> Select[Job]:
    query = select(Job).where(Job.id == job_id)
    if kind is not None:
        query = query.where(Job.kind == kind)
    return query if owner is None else query.where(Job.owner == owner)


def _queued(session: Session, *conditions: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(Job).where(Job.state == JobState.QUEUED, *conditions)
    return session.scalar(query) or 0


def _asked_before(session: Session, spec_digest: str, asked: Asked) -> Job | None:
    if asked.idempotency_key is None:
        return None
    row = session.get(Idempotency, (asked.owner or "", asked.idempotency_key))
    if row is None or row.created_at < now() - KEPT:
        return None
    if row.body_digest != _request_digest(spec_digest, asked):
        raise KeyReused
    return session.scalar(select(Job).where(Job.id == row.job_id))


def _remember(session: Session, job: Job, asked: Asked) -> None:
    """Write what belongs to a new job: the key it was asked under, and whom to tell of its end."""
    if asked.idempotency_key is not None:
        session.merge(
            Idempotency(
                owner=asked.owner or "",
                key=asked.idempotency_key,
                body_digest=_request_digest(job.spec_digest, asked),
                job_id=job.id,
                created_at=job.created_at,
            )
        )


def _callback(url: str | None, created: datetime) -> Callback | None:
    """Whom to tell of the end of a new job."""
    if url is None:
        return None
    return Callback(
        id=f"msg_{secrets.token_hex(12)}",
        url=url,
        state=CallbackState.WAITING,
        attempts=0,
        next_at=None,
        last_status=None,
        last_error=None,
        created_at=created,
        delivered_at=None,
    )


def _request_digest(spec_digest: str, asked: Asked) -> str:
    request = {"spec": spec_digest, "forced": asked.forced, "callback_url": asked.callback_url}
    if asked.kind is not JobKind.TUNING:  # of those, digests were stored before there were others
        request["kind"] = asked.kind.value
    return digest(request)
