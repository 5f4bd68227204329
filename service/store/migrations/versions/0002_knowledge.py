"""What jobs leave to later ones.

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "knowledge",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_number"], ["job.number"], name=op.f("fk_knowledge_job_number")
        ),
        sa.PrimaryKeyConstraint("job_number", name=op.f("pk_knowledge")),
    )
    op.create_index(op.f("ix_knowledge_key_job_number"), "knowledge", ["key", "job_number"])
