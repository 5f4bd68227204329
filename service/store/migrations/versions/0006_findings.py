"""What studies found, kept beside their jobs so that looking at one stays cheap; lists by kind.

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "findings",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_number"], ["job.number"], name=op.f("fk_findings_job_number")
        ),
        sa.PrimaryKeyConstraint("job_number", name=op.f("pk_findings")),
    )
    op.create_index("ix_job_kind_state_number", "job", ["kind", "state", "number"])
    op.create_index("ix_job_kind_owner_number", "job", ["kind", "owner", "number"])
