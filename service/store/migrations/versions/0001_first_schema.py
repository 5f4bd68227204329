"""The first schema.

Revision: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)
MOMENT = sa.DateTime(timezone=True)
LIVE_ATTEMPT = sa.text("state IN ('starting', 'running')")


def upgrade() -> None:
    _jobs()
    _sequence()
    _attempts()
    _controller()


def _jobs() -> None:
    op.create_table(
        "job",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("desired_state", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16)),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("last_sequence", sa.Integer(), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("spec_digest", sa.String(80), nullable=False),
        sa.Column("progress", JSON),
        sa.Column("answer", JSON),
        sa.Column("problem", JSON),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'cancelling', 'cancelled', 'succeeded', 'failed')",
            name=op.f("ck_job_state"),
        ),
        sa.CheckConstraint(
            "desired_state IN ('finished', 'cancelled')", name=op.f("ck_job_desired")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_job")),
        sa.UniqueConstraint("id", name=op.f("uq_job_id")),
        sqlite_autoincrement=True,  # the number of a removed job is not given to another one
    )
    op.create_index(op.f("ix_job_state_number"), "job", ["state", "number"])


def _of_job(*items: sa.Column[object] | sa.CheckConstraint, table: str, key: list[str]) -> None:
    op.create_table(
        table,
        sa.Column("job_number", sa.Integer(), nullable=False),
        *items,
        sa.ForeignKeyConstraint(
            ["job_number"], ["job.number"], name=op.f(f"fk_{table}_job_number")
        ),
        sa.PrimaryKeyConstraint("job_number", *key, name=op.f(f"pk_{table}")),
    )


def _sequence() -> None:
    _of_job(
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        table="record",
        key=["sequence"],
    )
    _of_job(
        sa.Column("request_id", sa.String(200), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        table="result",
        key=["request_id"],
    )
    _of_job(
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("view", JSON, nullable=False),
        table="trial",
        key=["position"],
    )


def _attempts() -> None:
    _of_job(
        sa.Column("request_id", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(40)),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.CheckConstraint(
            "state IN ('starting', 'running', 'finished', 'lost')",
            name=op.f("ck_attempt_state"),
        ),
        table="attempt",
        key=["request_id", "number"],
    )
    op.create_index(
        "uq_attempt_live",
        "attempt",
        ["job_number", "request_id"],
        unique=True,
        sqlite_where=LIVE_ATTEMPT,
        postgresql_where=LIVE_ATTEMPT,
    )


def _controller() -> None:
    op.create_table(
        "device",
        sa.Column("id", sa.String(80), nullable=False),
        sa.Column("view", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
    )
    op.create_table(
        "controller",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_controller_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_controller")),
    )
