"""Keys, idempotency, callbacks, fingerprints, and when a trial last changed.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("job", sa.Column("owner", sa.String(40), nullable=True))
    op.add_column("job", sa.Column("fingerprint", sa.String(80), nullable=True))
    op.add_column(
        "job", sa.Column("forced", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_index(op.f("ix_job_owner_number"), "job", ["owner", "number"])
    op.create_index(op.f("ix_job_fingerprint_number"), "job", ["fingerprint", "number"])
    op.add_column(
        "trial", sa.Column("revision", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("used_at", _MOMENT, nullable=True),
        sa.Column("revoked_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_key_digest")),
    )
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"])
    op.create_table(
        "callback",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", _MOMENT, nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(400), nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("delivered_at", _MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'pending', 'delivered', 'given_up')",
            name=op.f("ck_callback_state"),
        ),
        sa.ForeignKeyConstraint(
            ["job_number"], ["job.number"], name=op.f("fk_callback_job_number")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback")),
    )
    op.create_index(op.f("ix_callback_state_next_at"), "callback", ["state", "next_at"])
    op.create_index(op.f("ix_callback_job_number"), "callback", ["job_number"])
