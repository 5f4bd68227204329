"""Open the database of a deployment for a moment, whether it has been served before or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.settings import Settings
from service.store.database import Database
from service.store.migrate import migrate


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open, migrate and afterwards close a deployment's database.

    Args:
        settings: Where it is; the data folder is made on demand.

    Yields:
        The database, at the schema of this version.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.resolved_database_url)
    try:
        migrate(database, lock_file=settings.data_dir / "migrate.lock")
        yield database
    finally:
        database.close()
