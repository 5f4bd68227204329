"""A store that tests write to, and readers of a stream on the other side of a connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from service.api.event_stream import EventStream
from service.api.feeds import Feeds
from service.store.changes import NOTHING_KNOWN, Change, Look
from service.store.tables import Job, Trial

LONG_SECONDS = 60.0
"""Longer than any test lasts."""


def trial(number: int, revision: int, steps: int = 0) -> Trial:
    """A trial as it is stored."""
    view: dict[str, Any] = {
        "number": number,
        "request_id": f"race-{number}",
        "stage": "race",
        "state": "running",
        "global_batch_size": 64,
        "micro_batch_size": 64,
        "gradient_accumulation_steps": 1,
        "learning_rate": 0.1,
        "seed": 0,
        "steps": steps,
        "calibrated_seconds": None,
        "metric": None,
        "asam": None,
    }
    return Trial(job_number=1, position=number, view=view, revision=revision)


def job(job_id: str, revision: int, state: str = "running") -> Job:
    """A job as it is stored."""
    return Job(
        number=1,
        id=job_id,
        state=state,
        stage="race",
        revision=revision,
        spec={},
        spec_digest="sha256:0",
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )


class Board:
    """Jobs with trials, and how often somebody looked."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.trials: dict[str, dict[int, Trial]] = {}
        self.dated_from = NOTHING_KNOWN
        self.looks: list[Mapping[str, int]] = []
        self.broken = False
        self.revoked: set[str] = set()

    def turn(self, job_id: str, *positions: int, state: str = "running", steps: int = 0) -> int:
        """Change trials of a job as one turn does; say which revision that made."""
        before = self.jobs.get(job_id)
        revision = before.revision + 1 if before else 1
        self.jobs[job_id] = job(job_id, revision, state)
        for position in positions:
            of_job = self.trials.setdefault(job_id, {})
            of_job[position] = trial(position, revision, steps)
        return revision

    def read(self, known: Mapping[str, int]) -> Look:
        """Look as the store does."""
        self.looks.append(dict(known))
        if self.broken:
            raise OSError
        changed = {
            name: Change(
                job=self.jobs[name],
                trials=[
                    one
                    for one in self.trials.get(name, {}).values()
                    if one.revision > since or since == NOTHING_KNOWN
                ],
                dated_from=self.dated_from,
            )
            for name, since in known.items()
            if name in self.jobs and self.jobs[name].revision != since
        }
        return Look(
            changed=changed,
            gone=frozenset(known.keys() - self.jobs.keys()),
            revoked=frozenset(self.revoked),
        )

    def feeds(self, *, max_readers: int = 1000, interval_seconds: float = 0.001) -> Feeds:
        """Feeds that look often."""
        return Feeds(self.read, interval_seconds=interval_seconds, max_readers=max_readers)


@dataclass(slots=True)
class Reader:
    """Receives one stream, as fast as it is allowed to.

    Args:
        stream: What it reads.
    """

    stream: EventStream
    chunks: list[bytes] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    complete: bool = False
    task: asyncio.Task[None] | None = None

    def start(self) -> Reader:
        """Connect; it reads at once unless `ready` is cleared."""
        self.ready.set()
        self.task = asyncio.create_task(self.stream({"type": "http"}, self._receive, self._send))
        return self

    async def end(self) -> None:
        """Wait until the stream is over."""
        assert self.task is not None
        async with asyncio.timeout(LONG_SECONDS / 4):
            await self.task

    async def until(self, text: str) -> None:
        """Wait until something was received."""
        async with asyncio.timeout(LONG_SECONDS / 4):
            while text not in self.text:
                self.news.clear()
                await self.news.wait()

    @property
    def text(self) -> str:
        """All that was received."""
        return b"".join(self.chunks).decode()

    @property
    def events(self) -> list[tuple[str, str | None, Any]]:
        """Type, id and data of every event that was received."""
        return events_of(self.text)

    async def _receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.ready.wait()
        if message["type"] == "http.response.body":
            self.chunks.append(message["body"])
            self.news.set()
            self.complete = not message["more_body"]


def events_of(text: str) -> list[tuple[str, str | None, Any]]:
    """Type, id and data of every event of a stream; comments are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def reader_of(
    feeds: Feeds,
    job_id: str = "a",
    *,
    revision: int = 1,
    last_event_id: str | None = None,
    needs_key: bool = False,
    heartbeat_seconds: float = LONG_SECONDS,
    lifetime_seconds: float = LONG_SECONDS,
) -> Reader:
    """A reader that has not connected yet."""
    return Reader(
        EventStream(
            feeds,
            job_id,
            revision=revision,
            last_event_id=last_event_id,
            needs_key=needs_key,
            heartbeat_seconds=heartbeat_seconds,
            lifetime_seconds=lifetime_seconds,
        )
    )
