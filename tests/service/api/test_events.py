"""Events over HTTP: who may have them, what a proxy sees, and a real connection."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from batchscout.client import Client
from batchscout.events import Ended, JobChanged, TrialChanged
from service.api import event_stream
from service.api.dependencies import Parts
from service.app import create_app
from service.processes import ApiServer
from service.settings import Settings
from service.store.ledger import Ledger, Turn
from service.store.tables import JobState
from tests.service.api.followers import events_of, trial
from tests.service.fake_executor import SPEC

JOBS = "/v1/tuning-jobs"
PATIENCE_SECONDS = 20.0


def create(client: Any) -> str:
    """Queue a job and say where its events are."""
    response = client.post(JOBS, json=SPEC)
    assert response.status_code == 202, response.text
    return f"{response.headers['location']}/events"


def write(parts: Parts, address: str, **turn: Any) -> None:
    """Write about a job as the controller does."""
    job = parts.jobs.get(address.split("/")[-2])
    assert job is not None
    Ledger(parts.jobs._database).commit(Turn(job_number=job.number, **turn))


@pytest.fixture
def parts(client: TestClient) -> Parts:
    """The wired parts of the application behind the client."""
    found = client.app.state.parts  # type: ignore[attr-defined]
    assert isinstance(found, Parts)
    return found


def test_a_job_that_has_ended_is_told_at_once(client: TestClient, parts: Parts) -> None:
    """Trials as `/trials` has them, the job as it is shown, then the end; proxies keep nothing."""
    address = create(client)
    view = trial(0, 0).view
    write(parts, address, state=JobState.RUNNING, stage="race", trials={0: view})
    client.post(address.replace("/events", "/cancel"))
    write(parts, address, state=JobState.CANCELLED)
    response = client.get(address)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    shown = client.get(address.removesuffix("/events")).json()
    trials = client.get(address.replace("/events", "/trials")).json()["items"]
    spec = shown.pop("spec")
    assert spec == SPEC
    assert events_of(response.text) == [
        ("trial", None, trials[0]),
        ("job", str(shown["revision"]), shown),
        ("end", str(shown["revision"]), {"state": "cancelled"}),
    ]


def test_a_reader_comes_back_with_an_id(client: TestClient, parts: Parts) -> None:
    """The header says what it knows; nonsense leads to a reset."""
    address = create(client)
    write(parts, address, state=JobState.RUNNING, trials={0: trial(0, 0).view})
    write(parts, address, trials={1: trial(1, 0).view}, state=JobState.CANCELLED)
    names = {
        sent: [name for name, _, _ in events_of(client.get(address, headers=headers).text)]
        for sent, headers in [(each, {"Last-Event-ID": each}) for each in ("3", "2", "9", "x")]
    }
    assert names["3"] == ["end"]
    assert names["2"] == ["trial", "job", "end"]
    assert names["9"] == names["x"] == ["reset", "trial", "trial", "job", "end"]


def test_an_unknown_job_is_a_problem(client: TestClient) -> None:
    """The stream does not begin."""
    response = client.get(f"{JOBS}/tj_none/events")
    assert (response.status_code, response.json()["code"]) == (404, "tuning_job_not_found")


def test_an_id_that_is_endless_is_refused(client: TestClient) -> None:
    """No id of ours has so many characters."""
    response = client.get(create(client), headers={"Last-Event-ID": "1" * 300})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[tuple[httpx.Client, Parts]]:
    """Serve on a free port of 127.0.0.1."""
    ready = threading.Event()
    app = create_app(settings)
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
    server = ApiServer(config, ready.set)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert ready.wait(PATIENCE_SECONDS)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False) as http:
                yield http, app.state.parts
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def reading(http: httpx.Client, address: str) -> Iterator[Iterator[str]]:
    """Read the lines of a stream as they come."""
    with http.stream("GET", address) as response:
        assert response.status_code == 200
        yield response.iter_lines()


def until(lines: Iterator[str], start: str) -> str:
    """Read until a line begins so."""
    for line in lines:
        if line.startswith(start):
            return line
    pytest.fail(f"the stream ended before {start!r}")


def test_changes_arrive_while_they_happen(settings: Settings) -> None:
    """Over a real connection, one event after the other, until the job ends."""
    with serving(settings) as (http, parts):
        address = create(http)
        with reading(http, address) as lines:
            assert until(lines, "id:") == "id: 1"
            write(parts, address, state=JobState.RUNNING, trials={0: trial(0, 0).view})
            assert json.loads(until(lines, "data:").partition(": ")[2])["state"] == "queued"
            until(lines, "event: trial")
            assert until(lines, "id:") == "id: 2"
            write(parts, address, state=JobState.FAILED)
            until(lines, "event: end")
            assert [line for line in lines if line] == [
                "id: 3",
                'data: {"state": "failed"}',
            ]


def test_the_client_follows_a_job(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short streams, one after the other, tell the same as a long one: nothing twice or lost."""
    monkeypatch.setattr(event_stream, "GREETING", b"retry: 1\n\n")
    short = settings.model_copy(update={"event_stream_seconds": 0.05})
    with serving(short) as (http, parts), Client(str(http.base_url)) as client:
        address = create(http)
        write(parts, address, state=JobState.RUNNING)
        told: list[object] = []
        for number, event in enumerate(client.events(address.split("/")[-2])):
            told.append(event)
            if number < 5 and isinstance(event, JobChanged):
                write(parts, address, trials={number: trial(number, 0).view})
            elif isinstance(event, JobChanged) and not event.job.is_terminal:
                write(parts, address, state=JobState.FAILED)
    trials = [event.trial["number"] for event in told if isinstance(event, TrialChanged)]
    revisions = [each.job.document["revision"] for each in told if isinstance(each, JobChanged)]
    assert trials == sorted(set(trials))
    assert revisions == sorted(set(revisions))
    assert told[-1] == Ended(state="failed")


def test_a_service_that_ends_closes_its_streams_cleanly(settings: Settings) -> None:
    """The bodies are complete, so that a client knows that nothing was cut off."""
    with contextlib.ExitStack() as streams:
        other = streams.enter_context(httpx.Client(trust_env=False))
        with serving(settings) as (http, _):
            address = create(http)
            url = str(http.base_url.join(address))
            lines = [streams.enter_context(reading(other, url)) for _ in range(3)]
            for each in lines:
                until(each, "event: job")
        for each in lines:
            assert not [line for line in each if line.startswith("event: end")]


def test_the_place_of_a_reader_that_left_is_free(settings: Settings) -> None:
    """One more than allowed is a 429 that says when to come back; a closed connection counts not.

    There is no heartbeat in this test: the service notices the closed connection itself.
    """
    few = settings.model_copy(update={"max_event_streams": 1, "event_heartbeat_seconds": 900})
    with serving(few) as (http, parts):
        address = create(http)
        with reading(http, address) as lines:
            until(lines, "event: job")
            response = http.get(address)
            assert (response.status_code, response.json()["code"]) == (429, "too_many_streams")
            assert int(response.headers["retry-after"]) > 0
        end = time.monotonic() + PATIENCE_SECONDS
        while parts.feeds.full and time.monotonic() < end:
            time.sleep(0.01)
        with reading(http, address) as lines:
            until(lines, "event: job")


def test_a_stream_of_somebody_else_is_none(settings: Settings) -> None:
    """No key, no stream; another key, no such job; and a stream ends with its key."""
    with serving(settings.model_copy(update={"require_keys": True})) as (http, parts):
        (key, mine), (_, other) = parts.keys.create("ann"), parts.keys.create("bob")
        http.headers["Authorization"] = f"Bearer {mine}"
        address = create(http)
        assert http.get(address, headers={"Authorization": ""}).status_code == 401
        response = http.get(address, headers={"Authorization": f"Bearer {other}"})
        assert (response.status_code, response.json()["code"]) == (404, "tuning_job_not_found")
        with reading(http, address) as lines:
            until(lines, "event: job")
            parts.keys.revoke(key.id)
            assert not [line for line in lines if line.startswith("event: end")]
        assert http.get(address).status_code == 401
