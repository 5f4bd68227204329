"""A real service: two processes, a real database, children that really train."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.settings import Settings
from service.store.database import Database
from service.supervise import Embedded


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment of its own, which shares no device lock with anyone."""
    for name in ("run", "files"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return Settings(data_dir=tmp_path / "data", port=0, file_roots=(tmp_path / "files",))


@pytest.fixture
def service(settings: Settings) -> Iterator[Embedded]:
    """The service, running."""
    with Embedded(settings) as service:
        yield service


@pytest.fixture
def client(service: Embedded) -> Iterator[httpx.Client]:
    """A client that tries again where a process is being replaced."""
    transport = httpx.HTTPTransport(retries=3)
    with httpx.Client(base_url=service.url, timeout=90, transport=transport) as client:
        yield client


@pytest.fixture
def database(settings: Settings, service: Embedded) -> Iterator[Database]:
    """The store of the running service, to look into."""
    assert os.getpid() not in service.pids.values()
    database = Database(settings.resolved_database_url)
    yield database
    database.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A deployment for the tests of a whole module, with a file root and a code root."""
    folder = tmp_path_factory.mktemp("deployment")
    for name in ("run", "files", "code"):
        (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        yield Settings(
            data_dir=folder / "data",
            port=0,
            file_roots=(folder / "files",),
            code_root=folder / "code",
            entrypoint_prefixes=("lab",),
        )


@pytest.fixture(scope="module")
def asking(shared: Settings) -> Iterator[httpx.Client]:
    """A client of the service of a whole module."""
    with Embedded(shared) as service, httpx.Client(base_url=service.url, timeout=90) as client:
        yield client
