"""A deployment in a folder of its own, its database, and a controller on a small world."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import Ledger
from service.store.migrate import migrate


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a fresh deployment that looks often."""
    return Settings(
        data_dir=tmp_path / "data", port=0, watch_interval_seconds=0.01, queue_interval_seconds=0.01
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """A migrated database."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.resolved_database_url)
    migrate(database, lock_file=settings.data_dir / "migrate.lock")
    yield database
    database.close()


@pytest.fixture
def jobs(database: Database) -> Jobs:
    """The API's half of the store."""
    return Jobs(database)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """The controller's half of the store."""
    return Ledger(database)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of the API that gets a response even where the server fails."""
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client
