"""How Alembic runs: on the engine it was given, in one transaction, never offline."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Engine

from service.store.tables import Table

engine: Engine = context.config.attributes["engine"]

with engine.execution_options(writes=True).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        transactional_ddl=True,
        render_as_batch=engine.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
