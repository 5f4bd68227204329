"""A disk that can be full, and a process that keeps the database to itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from service.store.database import Database

NO_LIMIT = 1_000_000_000


class Disk:
    """The disk under a SQLite database: `full` lets the file not grow by a page.

    Args:
        database: Whose connections feel it.
    """

    def __init__(self, database: Database) -> None:
        self.full = False
        event.listen(database.engine, "checkout", self._limit)

    def _limit(self, connection: Any, *_: Any) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        limit = pages if self.full else NO_LIMIT
        connection.execute(f"PRAGMA max_page_count = {limit}").fetchone()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Keep every other writer waiting for as long as the block lasts."""
    assert database.file is not None
    other = sqlite3.connect(database.file, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()
