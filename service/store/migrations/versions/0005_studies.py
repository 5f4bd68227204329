"""Jobs of a second kind, and what is believed of times between the trials of the first.

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("kind", sa.String(16), server_default="tuning", nullable=False))
    op.add_column("job", sa.Column("surface", sa.JSON(none_as_null=True), nullable=True))
    op.create_index(op.f("ix_job_kind_number"), "job", ["kind", "number"])
