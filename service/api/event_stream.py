"""One reader of a job's events: what it is sent, and when it is let go."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from typing import Final

from fastapi import Response
from starlette.types import Receive, Scope, Send

from service.api.feeds import Feed, Feeds
from service.api.frames import GREETING, HEARTBEAT, RESET, TROUBLE
from service.store.changes import NOTHING_KNOWN

MEDIA_TYPE: Final = "text/event-stream"
_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


class EventStream(Response):
    """Sends a job's events until the job has ended, the reader has gone or the time is up.

    Args:
        feeds: Whence the events come.
        job_id: Which job.
        revision: Of the job now: a reader cannot know a later one.
        last_event_id: What the reader says it has seen last; None or empty for nothing.
        needs_key: Whether the reader was let in by the key of the job's owner, and goes with it.
        heartbeat_seconds: Longest silence on the connection.
        lifetime_seconds: When the stream ends anyway; the reader then comes back.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        feeds: Feeds,
        job_id: str,
        *,
        revision: int,
        last_event_id: str | None,
        needs_key: bool,
        heartbeat_seconds: float,
        lifetime_seconds: float,
    ) -> None:
        # Proxies must neither keep events nor hold them back.
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feeds = feeds
        self._job_id = job_id
        self._known = read_event_id(last_event_id, revision)
        self._needs_key = needs_key
        self._heartbeat_seconds = heartbeat_seconds
        self._lifetime_seconds = lifetime_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until there is nothing more to be sent, or nobody to send it to."""
        del scope
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_gone(receive))
        tasks = {sending, leaving}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if not sending.cancelled():
            sending.result()

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        with self._feeds.follow(self._job_id) as feed:
            async with contextlib.aclosing(self._chunks(feed)) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self, feed: Feed) -> AsyncGenerator[bytes]:
        """Write what the reader needs; while one chunk is under way nothing piles up."""
        now = asyncio.get_running_loop().time
        until = now() + self._lifetime_seconds
        is_silent = False
        yield GREETING
        while True:
            moved = feed.moved
            if self._needs_key and feed.revoked:
                return  # it will come back, and be told why it is not let in
            chunk = self._news(feed) + (feed.end or b"")
            if not chunk and (feed.troubled or is_silent):
                chunk = TROUBLE if feed.troubled else HEARTBEAT
            if chunk:
                yield chunk
            if feed.end is not None or feed.closed or now() >= until:
                return
            is_silent = not await _within(moved, min(self._heartbeat_seconds, until - now()))

    def _news(self, feed: Feed) -> bytes:
        """Write what is new, and remember that the reader knows it now."""
        if feed.revision == NOTHING_KNOWN:
            return b""
        reset = b""
        if self._known is None or NOTHING_KNOWN < self._known < feed.dated_from:
            reset, self._known = RESET, NOTHING_KNOWN
        news = feed.since(self._known)
        self._known = max(self._known, feed.revision)
        return reset + news


def read_event_id(last_event_id: str | None, revision: int) -> int | None:
    """Read what a reader knows.

    Args:
        last_event_id: As it was sent.
        revision: Of the job now.

    Returns:
        A revision; `NOTHING_KNOWN` for a reader that comes for the first time; None where the
        id is none that this job can have given.
    """
    if not last_event_id:
        return NOTHING_KNOWN
    if not _NUMBER.fullmatch(last_event_id):
        return None
    known = int(last_event_id)
    return known if known <= revision else None


async def _within(moved: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await moved.wait()
    except TimeoutError:
        return False
    return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
