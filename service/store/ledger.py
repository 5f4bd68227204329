"""The controller's half of the store: what happened to a job, written turn by turn.

A turn is one transaction. It appends events, settles attempts, opens new ones and writes what
the API shows, so that a process that dies leaves either all of a turn or nothing of it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, lazyload

from service.store.answers import find_answer
from service.store.callbacks import release
from service.store.database import Database, now
from service.store.figures import write_trials
from service.store.tables import (
    LIVE,
    TERMINAL,
    Attempt,
    AttemptState,
    ControllerRow,
    Device,
    FindingsRow,
    Job,
    JobState,
    KnowledgeRow,
    Record,
    ResultRow,
)
from tuner.errors import IncompatibleRecord
from tuner.records import Event, Knowledge, PastAnswer, Result, decode, encode

_log = logging.getLogger(__name__)

_LIVE_ATTEMPTS = (AttemptState.STARTING, AttemptState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptChange:
    """An attempt has begun or ended.

    Args:
        request_id: Whose attempt.
        number: Counts from 1.
        state: What it is from now on.
        cause: Of its end, where it was lost.
    """

    request_id: str
    number: int
    state: AttemptState
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one transaction writes about one job.

    Args:
        job_number: Which job.
        events: In the order in which they were applied.
        attempts: Begun and ended ones; ends before beginnings.
        state: The state that the job enters; None: it stays.
        stage: The stage it is in.
        progress: As the API shows it.
        trials: Changed trials by position.
        answer: Set with `succeeded`; of a study a summary of what it found.
        findings: All of it, set with a study's answer.
        problem: Set with `failed`.
        knowledge: What the job leaves to later ones; set with `succeeded`, if at all.
        fingerprint: Of its answer, once it is known.
        surface: What is believed of batches and rates, where that has changed.
    """

    job_number: int
    events: Sequence[Event] = ()
    attempts: Sequence[AttemptChange] = ()
    state: JobState | None = None
    stage: str | None = None
    progress: Mapping[str, Any] | None = None
    trials: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    answer: Mapping[str, Any] | None = None
    findings: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None
    knowledge: Knowledge | None = None
    fingerprint: str | None = None
    surface: Mapping[str, Any] | None = None


class Superseded(Exception):
    """The job is no longer in a state in which the controller may write about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that is recorded of a job.

    Args:
        events: In order, results with their payload.
        attempts: The highest attempt number of each request.
        alive: Attempts that had not ended, by request.
    """

    events: tuple[Event, ...]
    attempts: Mapping[str, int]
    alive: Mapping[str, int]


class Ledger:
    """Jobs as the controller sees them.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def live(self) -> Sequence[Job]:
        """Read the jobs that were under way, the oldest first."""
        return self._jobs(tuple(LIVE))

    def queued(self, limit: int) -> Sequence[Job]:
        """Read the jobs that wait, the oldest first."""
        return self._jobs((JobState.QUEUED,), limit)

    def cancelled(self) -> frozenset[int]:
        """Numbers of the jobs under way whose end was asked for."""
        query = select(Job.number).where(Job.state == JobState.CANCELLING)
        with self._database.read() as session:
            return frozenset(session.scalars(query))

    def history(self, job_number: int) -> History:
        """Read back all that was recorded.

        Args:
            job_number: Which job.

        Returns:
            Its events and attempts.

        Raises:
            IncompatibleRecord: This version cannot read them.
        """
        with self._database.read() as session:
            of_job = Record.job_number == job_number
            records = session.scalars(select(Record).where(of_job).order_by(Record.sequence)).all()
            results = session.scalars(select(ResultRow).where(ResultRow.job_number == job_number))
            payloads = {row.request_id: row.payload for row in results}
            attempts = session.scalars(
                select(Attempt).where(Attempt.job_number == job_number).order_by(Attempt.number)
            ).all()
        return History(
            events=tuple(_read_event(record.event, payloads) for record in records),
            attempts={row.request_id: row.number for row in attempts},
            alive={row.request_id: row.number for row in attempts if row.state in _LIVE_ATTEMPTS},
        )

    def commit(self, turn: Turn) -> None:
        """Write one turn, or nothing.

        Args:
            turn: What to write.

        Raises:
            Superseded: The job has ended meanwhile, or was cancelled while it was queued.
        """
        moment = now()
        with self._database.write() as session:
            last, revision = _update_job(session, turn, moment)
            first = last - len(turn.events) + 1
            for sequence, event in enumerate(turn.events, start=first):
                _append(session, turn.job_number, sequence, event, moment)
            session.flush()
            for change in turn.attempts:
                _change_attempt(session, turn.job_number, change, moment)
            write_trials(session, turn.job_number, turn.trials, revision=revision)
            if turn.state in TERMINAL:
                release(session, turn.job_number, moment)
            if turn.findings is not None:
                session.add(FindingsRow(job_number=turn.job_number, payload=dict(turn.findings)))
            if turn.knowledge is not None:
                key, payload = turn.knowledge.key, encode(turn.knowledge)
                session.add(KnowledgeRow(job_number=turn.job_number, key=key, payload=payload))

    def recall(self, key: str) -> Knowledge | None:
        """Look up what past jobs know.

        Args:
            key: As the tuning of the present job asks for it.

        Returns:
            What the newest job of that key left; None if there is none that this version reads.
        """
        query = (
            select(KnowledgeRow.payload)
            .where(KnowledgeRow.key == key)
            .order_by(KnowledgeRow.job_number.desc())
            .limit(1)
        )
        with self._database.read() as session:
            payload = session.scalar(query)
        try:
            known: Knowledge | None = decode(payload) if payload is not None else None
        except IncompatibleRecord as error:
            _log.warning("what a past job knows cannot be read: %s", error.detail)
            return None
        return known

    def answered(self, fingerprint: str, *, owner: str | None) -> PastAnswer | None:
        """Look up what a past job answered to the very same request.

        Args:
            fingerprint: Of the present job.
            owner: Whose jobs are looked at; None are those of nobody.

        Returns:
            The newest answer that is worth giving again; None if there is none.
        """
        with self._database.read() as session:
            return find_answer(session, fingerprint, owner=owner)

    def beat(self, *, pid: int, started_at: datetime, devices: Iterable[Mapping[str, Any]]) -> None:
        """Say that the controller lives, and what its devices do.

        Args:
            pid: Process id of the controller.
            started_at: When it started.
            devices: One mapping with an `id` for each.
        """
        views = {str(view["id"]): dict(view) for view in devices}
        with self._database.write() as session:
            session.merge(ControllerRow(id=1, pid=pid, started_at=started_at, seen_at=now()))
            session.execute(delete(Device).where(Device.id.not_in(views)))
            for device_id, view in views.items():
                session.merge(Device(id=device_id, view=view))

    def _jobs(self, states: Sequence[JobState], limit: int | None = None) -> Sequence[Job]:
        query = select(Job).where(Job.state.in_(states)).order_by(Job.number).limit(limit)
        query = query.options(lazyload(Job.callback))  # no concern of who drives it
        with self._database.read() as session:
            return session.scalars(query).all()


def _update_job(session: Session, turn: Turn, moment: datetime) -> tuple[int, int]:
    """Write the job itself; return the number of its last record and its new revision."""
    values: dict[str, Any] = {
        "revision": Job.revision + 1,
        "last_sequence": Job.last_sequence + len(turn.events),
        "updated_at": moment,
    }
    for name in ("stage", "progress", "answer", "problem", "fingerprint", "surface"):
        if getattr(turn, name) is not None:
            values[name] = getattr(turn, name)
    allowed = tuple(LIVE)
    if turn.state is JobState.RUNNING:
        allowed, values["started_at"] = (JobState.QUEUED,), moment
    elif turn.state is not None:
        allowed, values["finished_at"] = (*LIVE, JobState.QUEUED), moment
    if turn.state is not None:
        values["state"] = turn.state
    written = session.execute(
        update(Job)
        .where(Job.number == turn.job_number, Job.state.in_(allowed))
        .values(values)
        .returning(Job.last_sequence, Job.revision)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if written is None:
        raise Superseded
    return written.last_sequence, written.revision


def _append(
    session: Session, job_number: int, sequence: int, event: Event, moment: datetime
) -> None:
    plain = encode(event)
    if isinstance(event, Result):
        payload, plain["result"] = plain["result"], None
        session.add(ResultRow(job_number=job_number, request_id=event.request_id, payload=payload))
    session.add(Record(job_number=job_number, sequence=sequence, event=plain, created_at=moment))


def _read_event(plain: Mapping[str, Any], payloads: Mapping[str, Any]) -> Event:
    if plain.get("record") == "Result":
        payload = payloads.get(str(plain.get("request_id")))
        if payload is None:
            raise IncompatibleRecord(f"the result of {plain.get('request_id')} is missing")
        plain = {**plain, "result": payload}
    event: Event = decode(plain)
    return event


def _change_attempt(
    session: Session, job_number: int, change: AttemptChange, moment: datetime
) -> None:
    if change.state is AttemptState.STARTING:
        session.add(
            Attempt(
                job_number=job_number,
                started_at=moment,
                ended_at=None,
                **dataclasses.asdict(change),
            )
        )
        session.flush()
        return
    ended_at = None if change.state is AttemptState.RUNNING else moment
    session.execute(
        update(Attempt)
        .where(
            Attempt.job_number == job_number,
            Attempt.request_id == change.request_id,
            Attempt.number == change.number,
            Attempt.state.in_(_LIVE_ATTEMPTS),
        )
        .values(state=change.state, cause=change.cause, ended_at=ended_at)
        .execution_options(synchronize_session=False)
    )
