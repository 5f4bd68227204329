"""Following a job with the client, sync and async, over connections that break."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from batchscout import asking, events
from batchscout.client import AsyncClient, Client
from batchscout.errors import Refused, ServiceUnavailable, UnexpectedAnswer
from batchscout.events import Ended, Event, JobChanged, Reset, TrialChanged
from tests.batchscout.documents import PROBLEM, job

Script = list[httpx.Response | Exception]
Follow = Callable[[Script], tuple[list[Event], list[httpx.Request]]]


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Bytes that come one after the other; at the end the connection closes, or breaks."""

    def __init__(self, *chunks: str, breaks: bool = False) -> None:
        self._chunks = [chunk.encode() for chunk in chunks]
        self._breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        """Give the bytes."""
        yield from self._chunks
        if self._breaks:
            raise httpx.ReadError("gone")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the same."""
        for chunk in self:
            yield chunk


def stream(*chunks: str, breaks: bool = False) -> httpx.Response:
    """A stream of events."""
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return httpx.Response(200, headers=headers, stream=Body(*chunks, breaks=breaks))


def event(name: str, data: Any, revision: int | None = None) -> str:
    """One event as it is written."""
    identity = "" if revision is None else f"id: {revision}\n"
    return f"event: {name}\n{identity}data: {json.dumps(data)}\n\n"


def _play(script: Script) -> tuple[Callable[[httpx.Request], httpx.Response], list[httpx.Request]]:
    asked: list[httpx.Request] = []
    rest = list(script)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        reply = rest.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return answer, asked


def follow_sync(script: Script) -> tuple[list[Event], list[httpx.Request]]:
    """Follow with the sync client."""
    answer, asked = _play(script)
    with Client("http://service", transport=httpx.MockTransport(answer)) as client:
        return list(client.events("job-7")), asked


def follow_async(script: Script) -> tuple[list[Event], list[httpx.Request]]:
    """Follow with the async client."""
    answer, asked = _play(script)

    async def ask() -> list[Event]:
        async with AsyncClient("http://service", transport=httpx.MockTransport(answer)) as client:
            return [each async for each in client.events("job-7")]

    return asyncio.run(ask()), asked


@pytest.fixture(params=[follow_sync, follow_async], ids=["sync", "async"])
def follow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Follow a scripted service with one of the two clients, without real rests."""
    monkeypatch.setattr(asking, "RESTS_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(events, "REST_SECONDS", 0.0)
    found: Follow = request.param
    return found


END = event("end", {"state": "succeeded"}, 3)


def test_events_come_typed(follow: Follow) -> None:
    """Trials, job, reset and end, each as what it is; what is not known is passed over."""
    trial, now = {"number": 4, "state": "running"}, job("running", revision=2)
    pieces = [event("reset", {}), event("trial", trial), event("later", 1), event("job", now, 2)]
    found, asked = follow([stream("retry: 0\n\n", *pieces, ": still here\n\n", END)])
    first, second, third, last = found
    assert (first, second, last) == (Reset(), TrialChanged(trial=trial), Ended(state="succeeded"))
    assert isinstance(third, JobChanged)
    assert third.job.document == now
    assert asked[0].url.path == "/v1/tuning-jobs/job-7/events"
    assert "Last-Event-ID" not in asked[0].headers


@pytest.mark.parametrize("breaks", [False, True])
def test_a_broken_connection_goes_on_where_it_was(
    follow: Follow,
    breaks: bool,  # noqa: FBT001
) -> None:
    """The next one names the last id that arrived as a whole; a batch cut short comes again."""
    first = event("job", job("running", revision=2), 2) + event("trial", {"number": 0})
    found, asked = follow(
        [
            stream("retry: 0\n\n", first, "id: 3\ndata: cut of", breaks=breaks),
            httpx.ConnectError("refused"),
            httpx.Response(503, json={"code": "not_ready", "detail": "starting"}),
            stream(event("trial", {"number": 0}), END),
        ]
    )
    assert [type(each) for each in found] == [JobChanged, TrialChanged, TrialChanged, Ended]
    assert [each.headers.get("Last-Event-ID") for each in asked] == [None, "2", "2", "2"]


def test_a_job_that_was_deleted_between_two_connections(follow: Follow) -> None:
    """Whoever has seen it is told that it is gone; who has not is refused."""
    gone = httpx.Response(404, json=PROBLEM | {"status": 404, "code": "tuning_job_not_found"})
    found, _ = follow([stream("retry: 0\n\n", event("job", job("running"), 2)), gone])
    assert found[-1] == Ended(state="deleted")
    with pytest.raises(Refused):
        follow([gone])


def test_following_ends_where_nobody_answers(follow: Follow) -> None:
    """After the last rest the client says so; a stream that never brings anything ends too."""
    with pytest.raises(ServiceUnavailable, match="refused"):
        follow([httpx.ConnectError("refused")] * 3)
    with pytest.raises(ServiceUnavailable, match="10 times"):
        follow([stream() for _ in range(10)])


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, json={}),
        stream("event: job\ndata: {\n\n"),
        stream(event("job", [])),
        stream(event("trial", {})),
        stream(event("end", None)),
    ],
)
def test_what_is_no_stream_of_ours_is_said_to_be_none(reply: httpx.Response) -> None:
    """Another server, or one that sends something else under our names."""
    with pytest.raises(UnexpectedAnswer):
        follow_sync([reply])
