"""What is stored: jobs, their records, results, attempts, trials, knowledge, and devices."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

Json = JSON(none_as_null=True)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, on databases that know time zones and on those that do not."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store in UTC."""
        del dialect
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read back as UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JobState(enum.StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


LIVE: Final = frozenset({JobState.RUNNING, JobState.CANCELLING})
TERMINAL: Final = frozenset({JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED})


class Table(DeclarativeBase):
    """Base of all tables; constraints have names, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


class Job(Table):
    """One tuning job.

    `number` gives the order of arrival; `id` is what people see. `spec` is the user's own
    JSON, `last_sequence` the number of records so far. `revision` rises with every change.
    """

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint(_one_of("state", tuple(JobState)), name="state"),
        CheckConstraint(_one_of("desired_state", ("finished", "cancelled")), name="desired"),
        Index(None, "state", "number"),
    )

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    desired_state: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str | None] = mapped_column(String(16))
    revision: Mapped[int]
    last_sequence: Mapped[int]
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    spec_digest: Mapped[str] = mapped_column(String(80))
    progress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    answer: Mapped[dict[str, Any] | None] = mapped_column(Json)
    problem: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Record(Table):
    """One event of a job, in the order in which it happened; results without their payload."""

    __tablename__ = "record"

    job_number: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ResultRow(Table):
    """What one request measured, loss curves included. A second one is impossible."""

    __tablename__ = "result"

    job_number: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    payload: Mapped[dict[str, Any]] = mapped_column(Json)


class KnowledgeRow(Table):
    """What a succeeded job leaves to later ones that share its key, on whatever device."""

    __tablename__ = "knowledge"
    __table_args__ = (Index(None, "key", "job_number"),)

    job_number: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
    key: Mapped[str] = mapped_column(String(80))
    payload: Mapped[dict[str, Any]] = mapped_column(Json)


class AttemptState(enum.StrEnum):
    """Where one try at a request is."""

    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"
    LOST = "lost"


_LIVE_ATTEMPT = "state IN ('starting', 'running')"


class Attempt(Table):
    """One try at one request. Of a request's attempts at most one is alive."""

    __tablename__ = "attempt"
    __table_args__ = (
        CheckConstraint(_one_of("state", tuple(AttemptState)), name="state"),
        Index(
            "uq_attempt_live",
            "job_number",
            "request_id",
            unique=True,
            sqlite_where=text(_LIVE_ATTEMPT),
            postgresql_where=text(_LIVE_ATTEMPT),
        ),
    )

    job_number: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(16))
    cause: Mapped[str | None] = mapped_column(String(40))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Trial(Table):
    """A projection of the tuning's trials, so that the API never rebuilds one."""

    __tablename__ = "trial"

    job_number: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    view: Mapped[dict[str, Any]] = mapped_column(Json)


class Device(Table):
    """A device of the controller's executor and what it does."""

    __tablename__ = "device"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    view: Mapped[dict[str, Any]] = mapped_column(Json)


class ControllerRow(Table):
    """The one controller, and when it was last seen."""

    __tablename__ = "controller"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
