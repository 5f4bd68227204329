"""What is stored: jobs with all that belongs to them, keys, callbacks, and devices."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
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


class JobKind(enum.StrEnum):
    """What a job is about."""

    TUNING = "tuning"
    STUDY = "study"

    @property
    def id_prefix(self) -> str:
        """What ids of such jobs begin with."""
        return "bs_" if self is JobKind.STUDY else "tj_"


class Job(Table):
    """One job: a tuning, or a batch-size study.

    `number` gives the order of arrival and never comes again; `id` is what people see. `spec`
    is the user's own JSON, `last_sequence` the number of records so far. `revision` rises with
    every change.
    `owner` is the id of a key, null where the service has none. `fingerprint` is that of the
    answer, known from its first stage on; a job that is `forced` measures even what is known.
    `surface` is what a tuning believes of batches and rates that were not tried.
    """

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint(_one_of("state", tuple(JobState)), name="state"),
        CheckConstraint(_one_of("desired_state", ("finished", "cancelled")), name="desired"),
        Index(None, "state", "number"),
        Index(None, "owner", "number"),
        Index(None, "fingerprint", "number"),
        Index(None, "kind", "number"),
        Index("ix_job_kind_state_number", "kind", "state", "number"),
        Index("ix_job_kind_owner_number", "kind", "owner", "number"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    kind: Mapped[str] = mapped_column(
        String(16), server_default=text("'tuning'"), default=JobKind.TUNING
    )
    state: Mapped[str] = mapped_column(String(16))
    desired_state: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str | None] = mapped_column(String(16))
    revision: Mapped[int]
    last_sequence: Mapped[int]
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    spec_digest: Mapped[str] = mapped_column(String(80))
    owner: Mapped[str | None] = mapped_column(String(40))
    fingerprint: Mapped[str | None] = mapped_column(String(80))
    forced: Mapped[bool] = mapped_column(Boolean, server_default=false(), default=False)
    progress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    answer: Mapped[dict[str, Any] | None] = mapped_column(Json)
    surface: Mapped[dict[str, Any] | None] = mapped_column(Json)
    problem: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    # Shown with its job wherever that is shown, and removed by hand with the rest of it.
    callback: Mapped[Callback | None] = relationship(lazy="selectin", passive_deletes="all")


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


class FindingsRow(Table):
    """All that a study found, curves included; its job has a summary of it as its answer."""

    __tablename__ = "findings"

    job_number: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
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
    """A projection of the tuning's trials, so that the API never rebuilds one.

    `revision` is that of the job with which the trial last changed.
    """

    __tablename__ = "trial"

    job_number: Mapped[int] = mapped_column(ForeignKey("job.number"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    view: Mapped[dict[str, Any]] = mapped_column(Json)
    revision: Mapped[int] = mapped_column(server_default=text("0"), default=0)


class Key(Table):
    """A key that opens the API. Only a digest of it is kept; `prefix` is shown in lists."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    digest: Mapped[str] = mapped_column(String(80), unique=True)
    prefix: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Idempotency(Table):
    """Which job an `Idempotency-Key` stands for. `owner` is empty where there are no keys."""

    __tablename__ = "idempotency"
    __table_args__ = (Index(None, "created_at"),)

    owner: Mapped[str] = mapped_column(String(40), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(80))
    job_id: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CallbackState(enum.StrEnum):
    """Where a callback is: its job has not ended, it is due, it has arrived, or it never will."""

    WAITING = "waiting"
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class Callback(Table):
    """A message about the end of a job, to be sent until it arrives."""

    __tablename__ = "callback"
    __table_args__ = (
        CheckConstraint(_one_of("state", tuple(CallbackState)), name="state"),
        Index(None, "state", "next_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_number: Mapped[int] = mapped_column(ForeignKey("job.number"), index=True)
    url: Mapped[str] = mapped_column(String(2048))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_status: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(String(400))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Total(Table):
    """A number that only rises, kept so that nobody has to count rows."""

    __tablename__ = "total"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[int]


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
