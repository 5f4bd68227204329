"""A service in this process: real HTTP, a real store, measurements and traces by laws."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import uvicorn
from fastapi import FastAPI

from service.address import open_listener, url_of
from service.api.dependencies import Parts
from service.app import create_app
from service.controller import Controller
from service.estimates import Estimates
from service.settings import Settings
from service.store.database import Database
from service.store.keys import Keys
from service.store.ledger import Ledger
from service.store.migrate import migrate
from tests.service.api.test_memory_estimates import FakeTracing
from tests.service.fake_executor import FakeExecutor
from tests.service.small_study import StudyWorld, make_small


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A service that runs.

    Args:
        url: Where it answers.
        key: Opens it.
        database: Its store, to look into.
    """

    url: str
    key: str = field(repr=False)
    database: Database


@contextmanager
def live(settings: Settings) -> Iterator[Live]:
    """Run a service that demands keys; its jobs end within seconds.

    Args:
        settings: How it is deployed, the port aside.

    Yields:
        The service; afterwards nothing of it is left.
    """
    deployed = settings.model_copy(update={"require_keys": True})
    deployed.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(deployed.resolved_database_url)
    migrate(database, lock_file=deployed.data_dir / "migrate.lock")
    _, key = Keys(database).create("tests")
    with _serving(deployed) as url, _driving(deployed, database):
        yield Live(url=url, key=key, database=database)
    database.close()


@contextmanager
def _serving(settings: Settings) -> Iterator[str]:
    listener = open_listener("127.0.0.1", 0)
    config = uvicorn.Config(create_app(settings), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    app = cast("FastAPI", config.app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        parts: Parts = app.state.parts
        app.state.parts = replace(parts, estimates=Estimates(settings, FakeTracing()))
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def _driving(settings: Settings, database: Database) -> Iterator[None]:
    """Drive jobs a little at a time, so that most of the processor is left to the API."""
    controller = Controller(
        settings=settings,
        ledger=Ledger(database),
        executor=FakeExecutor(world=StudyWorld()),
        make_machine=make_small,
    )
    controller.recover()
    ending = threading.Event()

    def drive() -> None:
        while not ending.wait(0.005):
            controller.turn(0.0)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
