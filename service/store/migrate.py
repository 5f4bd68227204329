"""Bring a database to the schema of this version, keeping a copy of what was there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import column, inspect, select, table

from service.locks import hold
from service.store.database import Database

FOLDER: Final = Path(__file__).parent / "migrations"


def migrate(database: Database, *, lock_file: Path) -> str:
    """Bring the database to the newest schema; several processes may try at once.

    Args:
        database: What to migrate. An existing SQLite file is copied first.
        lock_file: Held meanwhile, so that the processes of one data folder take turns.

    Returns:
        The revision it is at now.
    """
    # Alembic is needed here alone: imported late it costs the running API no memory.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    head = ScriptDirectory.from_config(config).get_current_head()
    if head is None:
        raise RuntimeError("the migrations are missing from this installation")
    with hold(lock_file):
        current = current_revision(database)
        if current != head:
            _copy(database, current)
            config.attributes["engine"] = database.engine
            command.upgrade(config, "head")
    return head


def current_revision(database: Database) -> str | None:
    """The revision a database is at; None if it was never migrated."""
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.scalar(
            select(column("version_num")).select_from(table("alembic_version"))
        )
        return str(found) if found is not None else None


def _copy(database: Database, current: str | None) -> None:
    if database.file is None or current is None:
        return
    copy = database.file.with_name(f"{database.file.name}.before-{current}")
    with closing(sqlite3.connect(database.file)) as source, closing(sqlite3.connect(copy)) as to:
        source.backup(to)
