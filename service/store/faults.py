"""Faults of a database that pass by themselves, told apart from those that do not."""

from __future__ import annotations

import enum
import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError


class Fault(enum.StrEnum):
    """What keeps the database from writing. Nothing of the transaction is left."""

    FULL = "full"
    """There is no room for it."""

    BUSY = "busy"
    """Another process writes, and has not ended in time."""


_SQLITE: Final = {
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_BUSY: Fault.BUSY,
    sqlite3.SQLITE_LOCKED: Fault.BUSY,
}
_POSTGRESQL: Final = {
    "53100": Fault.FULL,  # disk_full
    "55P03": Fault.BUSY,  # lock_not_available
    "40P01": Fault.BUSY,  # deadlock_detected
}
_PRIMARY: Final = 0xFF
"""The part of SQLite's codes that has to be told apart."""


def fault_of(error: DBAPIError) -> Fault | None:
    """Tell what is wrong; None where it is something else, such as a missing file."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return _SQLITE.get(code & _PRIMARY)
    return _POSTGRESQL.get(getattr(error.orig, "sqlstate", None) or "")
