"""Open the database so that what is committed stays, and writers wait instead of failing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

BUSY_TIMEOUT_SECONDS: Final = 30.0
"""How long a writer waits for another process before it gives up."""


class Database:
    """An engine and its two kinds of transaction.

    Args:
        url: SQLAlchemy URL.
        busy_timeout_seconds: How long a writer waits for another process, on SQLite.
    """

    def __init__(self, url: str, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self.url = make_url(url)
        self.engine = _open(url, busy_timeout_seconds)
        self._writing = self.engine.execution_options(writes=True)
        self._writing_at_once = self.engine.execution_options(writes=True, patient=False)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None on a database server."""
        name = self.url.database
        return Path(name) if self.is_sqlite and name and name != ":memory:" else None

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one state of the database and changes nothing."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, *, patient: bool = True) -> Iterator[Session]:
        """A transaction that is committed as a whole at the end, or leaves no trace.

        Args:
            patient: Whether to wait where another process writes; on SQLite an impatient one
                fails at once with an `OperationalError`.
        """
        engine = self._writing if patient else self._writing_at_once
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def now() -> datetime:
    """The time of day that is stored."""
    return datetime.now(UTC)


def _open(url: str, busy_timeout_seconds: float) -> Engine:
    # Errors are logged: they say what was asked of the database, and never with what, since that
    # may be a URL with a token or the digest of a key.
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(
        url, connect_args={"timeout": busy_timeout_seconds}, hide_parameters=True
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    # The driver's own transaction handling begins too late: reads would see several states.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that will write takes its lock at once: upgrading a read lock can fail
    # without waiting when another writer came first.
    options = connection.get_execution_options()
    if not options.get("writes", False):
        connection.exec_driver_sql("BEGIN")
    elif options.get("patient", True):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        milliseconds = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {milliseconds}")
