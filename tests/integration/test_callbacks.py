"""Callbacks of a real service whose controller is killed while it sends."""

from __future__ import annotations

import ipaddress
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from batchscout.callbacks import verify
from service.callback_secret import secret_of
from service.settings import Settings
from service.store.database import Database, now
from service.store.tables import Callback
from service.supervise import Embedded
from tests.service.callbacks.receiver import receiver, status
from tests.service.fake_executor import SPEC

JOBS = "/v1/tuning-jobs"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The same deployment, which may tell this machine."""
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)
    return settings.model_copy(
        update={"callback_networks": loopback, "callback_interval_seconds": 0.05}
    )


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never came true")


def test_a_controller_that_is_killed_while_it_sends_sends_again(
    service: Embedded, client: httpx.Client, database: Database, settings: Settings
) -> None:
    """The receiver got the message, nobody wrote that down: the next controller sends it again."""

    def kill_the_sender(handler: BaseHTTPRequestHandler) -> None:
        found.answer = status(200)
        killed.append(service.pids["controller"])
        os.kill(killed[0] or 0, signal.SIGKILL)
        status(200)(handler)

    killed: list[int | None] = []
    with receiver() as found:
        found.answer = kill_the_sender
        made = client.post(JOBS, json=SPEC, params={"callback_url": found.url("/hook?a=b")})
        address = made.headers["Location"]
        client.post(f"{address}/cancel")
        eventually(lambda: len(found.requests) == 1)
        eventually(lambda: service.pids["controller"] not in {killed[0], None})
        with database.write() as session:  # the claim of the dead one ends
            session.execute(update(Callback).values(next_at=now() - timedelta(seconds=1)))
        eventually(lambda: shown(client, address)["state"] == "delivered")
        first, second = found.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    message = verify(second.headers, second.body, secret_of(settings, None))
    assert message["type"] == "tuning_job.cancelled"
    assert message["data"] == {"id": made.json()["id"], "state": "cancelled"}
    assert shown(client, address)["attempts"] == 1


def shown(client: httpx.Client, address: str) -> dict[str, Any]:
    """The callback of a job as the API shows it."""
    callback: dict[str, Any] = client.get(address).json()["callback"]
    return callback
