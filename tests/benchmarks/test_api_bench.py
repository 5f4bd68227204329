"""The bench of the API, on a small scale: what it sends arrives, and what it counts is counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from benchmarks.api import zeus
from benchmarks.api.bench import FEW, Stored, create
from benchmarks.api.load import drive, quantile
from benchmarks.api.stored import TRIALS, fill
from benchmarks.api.waiting import Crowd, Trained, Turn, summary
from benchmarks.api.wire import Request, Wire
from service.app import create_app
from service.settings import Settings

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment in a folder of its own."""
    return Settings(data_dir=tmp_path / "data", port=0)


@contextlib.contextmanager
def api(settings: Settings) -> Iterator[TestClient]:
    """The API on what is stored."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


class Recording(Wire):
    """A wire that hands requests to an application in this process."""

    def __init__(self, client: TestClient) -> None:
        super().__init__("127.0.0.1", 0)
        self.client = client

    async def send(self, request: Request) -> Any:
        """Ask the application."""
        reply = self.client.request(
            request.method, request.path, json=request.body, headers=dict(request.headers)
        )
        return Answer(reply)


class Answer:
    """A reply as the wire gives it."""

    def __init__(self, reply: Any) -> None:
        self.status = reply.status_code
        self.json = reply.json


def test_stored_jobs_are_read_back_whole(settings: Settings) -> None:
    """Every stored job has an answer that the service shows, and its trials."""
    ids = fill(settings, 5)
    with api(settings) as client:
        stored = Stored(wire=Recording(client), ids=ids)
        for index in range(5):
            reply = client.get(stored.recommendation(index).path)
            assert reply.status_code == 200, reply.text
            assert len(reply.json()["memory_curve"]) > 1
        trials = client.get(f"/v1/tuning-jobs/{ids[0]}/trials").json()["items"]
        assert [trial["number"] for trial in trials] == list(range(TRIALS))
        shown = client.get("/v1/tuning-jobs").json()["items"]
        assert [job["id"] for job in shown] == ids[::-1]
        assert all(job["recommendation"] for job in shown)


def test_the_deep_page_ends_with_the_oldest_job(settings: Settings) -> None:
    """What is timed as the deep page is the last one of the list."""
    ids = fill(settings, FEW)
    with api(settings) as client:
        path = asyncio.run(Stored(wire=Recording(client), ids=ids).deep())
        page = client.get(path).json()
        assert page["items"][-1]["id"] == ids[0]
        assert page["next_cursor"] is None


def test_a_created_job_is_queued_once(settings: Settings) -> None:
    """The same index is the same job, another one another."""
    with api(settings) as client:
        found = []
        for index in (0, 0, 1):
            request = create(index)
            reply = client.request(
                request.method, request.path, json=request.body, headers=dict(request.headers)
            )
            assert reply.status_code == 202, reply.text
            found.append(reply.json()["id"])
    assert found[0] == found[1] != found[2]


def test_a_slow_answer_delays_no_request_but_is_charged_for_it() -> None:
    """Requests leave on time whatever became of the one before; latency counts from then."""
    waiting = asyncio.Event()
    sent: list[int] = []

    class Slow(Wire):
        async def send(self, request: Request) -> Any:
            sent.append(int(request.path))
            if len(sent) == 5:
                waiting.set()
            await waiting.wait()
            return Answer(Status())

    load = asyncio.run(drive(Slow("", 0), lambda i: Request(path=str(i)), rate=100.0, count=5))
    assert sent == [0, 1, 2, 3, 4]
    assert load.statuses == {200: 5}
    assert load.seconds[-1] >= 0.04
    assert load.seconds == tuple(sorted(load.seconds))


class Status:
    """A reply that is well."""

    status_code = 200

    @staticmethod
    def json() -> None:
        """No body."""


def test_a_server_that_hangs_up_is_counted() -> None:
    """A connection that breaks is no answer, and the load goes on."""

    async def measure() -> dict[int, int]:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        wire = Wire("127.0.0.1", server.sockets[0].getsockname()[1])
        load = await drive(wire, lambda _: Request(path="/"), rate=1000.0, count=3)
        server.close()
        await server.wait_closed()
        return load.statuses

    assert asyncio.run(measure()) == {0: 3}


def test_replies_are_read_whole_over_a_kept_connection() -> None:
    """Lengths, chunks and bodies that are not there; one connection carries all of them."""
    replies = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n[1,2,3]",
        b'HTTP/1.1 304 Not Modified\r\nETag: "2"\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n",
    ]
    heads: list[bytes] = []
    connections: list[int] = []

    async def measure() -> list[Any]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(1)
            for reply in replies:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(reply)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        wire = Wire("127.0.0.1", server.sockets[0].getsockname()[1])
        found = [await wire.send(Request(path="/", headers={"A": "b"})) for _ in replies]
        await wire.close()
        server.close()
        await server.wait_closed()
        return found

    first, second, third = asyncio.run(measure())
    assert first.json() == [1, 2, 3]
    assert (second.status, second.headers["etag"], second.content) == (304, '"2"', b"")
    assert third.json() == [1, 2]
    assert len(connections) == 1
    assert all(b"A: b\r\n" in head for head in heads)


def test_quantiles_are_values_that_were_measured() -> None:
    """The smallest value that the share does not exceed, at both ends too."""
    hundred = [float(value) for value in range(1, 101)]
    assert [quantile(hundred, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert quantile([3.0], 0.99) == 3.0


def turn(first: int, *, crowded: bool) -> Turn:
    """A turn of ten seconds."""
    began = BEGAN + timedelta(seconds=first)
    return Turn(
        crowded=crowded,
        began=began,
        ended=began + timedelta(seconds=10),
        api_processor_seconds=0.4 if crowded else 0.1,
    )


def run(first: float, step_seconds: float, plan: tuple[int, int] = (32, 1)) -> Trained:
    """A training run of two seconds."""
    began = BEGAN + timedelta(seconds=first)
    return Trained(
        began=began, ended=began + timedelta(seconds=2), plan=plan, step_seconds=step_seconds
    )


def test_only_equal_runs_within_one_turn_are_compared() -> None:
    """Runs that reach over an edge, and plans that ran in one kind of turn only, are left out."""
    turns = [turn(0, crowded=False), turn(10, crowded=True)]
    runs = [
        run(1, 0.010),
        run(12, 0.011),
        run(9, 9.0),
        run(3, 5.0, plan=(8, 1)),
        run(3, 0.020, plan=(64, 2)),
        run(14, 0.022, plan=(64, 2)),
    ]
    found = summary(turns, runs, Crowd(polls=3, streams=2))
    assert found["step_seconds_crowded_to_quiet"] == pytest.approx(1.1)
    assert found["job_speed_lost"] == pytest.approx(1.0 - 1.0 / 1.1)
    assert found["training_runs_compared"] == 5
    assert found["api_processor_share_crowded"] == pytest.approx(
        4 * found["api_processor_share_quiet"]
    )
    assert (found["long_polls_answered"], found["event_streams"], found["failed"]) == (3, 2, 0)
    nothing = summary(turns, [], Crowd(failed=["events: 500", "events: 500"]))
    assert nothing["job_speed_lost"] is None
    assert (nothing["failed"], nothing["failures"]) == (2, ["events: 500"])


def test_a_peer_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The reason is the last line of what it said, and nothing is left running."""
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\necho 'no such module' >&2\nexit 3\n")
    silent.chmod(0o755)
    with pytest.raises(zeus.Unavailable, match="no such module"), zeus.serving(silent, tmp_path):
        pytest.fail("it started")
