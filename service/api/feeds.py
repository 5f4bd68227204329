"""Follow jobs for any number of readers: one look at the database for all of them.

There is one feed for each job that somebody follows. It holds the newest state as written
events, not a queue: a reader that falls behind gets what is newest when it comes back, so that
it neither holds others up nor takes memory for what it has missed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool

from service.api.frames import DELETED, Rendered, TrialFrame, render
from service.store.changes import NOTHING_KNOWN, Look

PATIENCE: Final = 10
"""Intervals between looks while the database does not answer."""

READER_SECONDS: Final = 0.0025
"""Rest for each reader that was sent something: 0.05 ms of work are then 2 % of a core, however
often a job changes and however many follow it. What happens meanwhile comes as one state."""

_log = logging.getLogger(__name__)


class Feed:
    """The newest state of one job, shared by its readers.

    Args:
        job_id: Which job.

    Attributes:
        revision: Of the job; `NOTHING_KNOWN` until it was looked at.
        dated_from: Changes of trials can be told apart from this revision on.
        end: The last event, once nothing can follow it.
        troubled: Whether the last look failed.
        revoked: Whether the key of the job's owner is no longer valid.
        closed: Whether the service stops.
        readers: How many there are.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.revision = NOTHING_KNOWN
        self.dated_from = NOTHING_KNOWN
        self.end: bytes | None = None
        self.troubled = False
        self.revoked = False
        self.closed = False
        self.readers = 0
        self._job = b""
        self._trials: dict[int, TrialFrame] = {}
        self._written: dict[int, bytes] = {}
        self._moved = asyncio.Event()

    @property
    def moved(self) -> asyncio.Event:
        """Set when something has happened after now; take it before looking at the rest."""
        return self._moved

    def since(self, known: int) -> bytes:
        """Write what a reader does not know yet.

        Args:
            known: Revision that it knows; `NOTHING_KNOWN` for everything.

        Returns:
            Events; empty if there is nothing new. Readers that know the same share them.
        """
        if known >= self.revision:
            return b""
        if known not in self._written:
            trials = (self._trials[position] for position in sorted(self._trials))
            news = b"".join(
                trial.frame for trial in trials if known == NOTHING_KNOWN or trial.revision > known
            )
            self._written[known] = news + self._job
        return self._written[known]

    def take(self, rendered: Rendered) -> None:
        """Put newer state in the place of what is there."""
        self._trials.update(rendered.trials)
        self._job = rendered.job
        self._written.clear()
        self.revision = rendered.revision
        self.dated_from = max(self.dated_from, rendered.dated_from)
        self.end = rendered.end
        self._tell()

    def vanish(self) -> None:
        """Note that the job was deleted."""
        self.end = DELETED
        self._tell()

    def revoke(self) -> None:
        """Note that the owner's key opens nothing any more."""
        if not self.revoked:
            self.revoked = True
            self._tell()

    def falter(self) -> None:
        """Note that nobody knows how the job is; readers are told once."""
        if not self.troubled:
            self.troubled = True
            self._tell()

    def close(self) -> None:
        """Let the readers go."""
        self.closed = True
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    news: Mapping[str, Rendered]
    gone: frozenset[str]
    revoked: frozenset[str]


class Feeds:
    """The feeds of all jobs that are followed.

    Args:
        read: Reads what changed about several jobs; runs in a thread.
        interval_seconds: How often to look while someone follows a job.
        max_readers: How many may follow jobs at once.
    """

    def __init__(
        self,
        read: Callable[[Mapping[str, int]], Look],
        *,
        interval_seconds: float,
        max_readers: int,
    ) -> None:
        self._read = read
        self._interval_seconds = interval_seconds
        self._max_readers = max_readers
        self._feeds: dict[str, Feed] = {}
        self._wanted = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._rest_until = -math.inf
        self._closed = False

    @property
    def readers(self) -> int:
        """How many follow a job now."""
        return sum(feed.readers for feed in self._feeds.values())

    @property
    def full(self) -> bool:
        """Whether one more reader would be too many."""
        return self.readers >= self._max_readers

    @contextmanager
    def follow(self, job_id: str) -> Iterator[Feed]:
        """Keep a job's feed up to date for as long as the `with` block lasts.

        Args:
            job_id: Which job.

        Yields:
            Its feed, shared with others; it knows nothing until the next look.
        """
        feed = self._feeds.setdefault(job_id, Feed(job_id))
        feed.readers += 1
        if self._closed:
            feed.close()
        elif self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())
        if feed.revision == NOTHING_KNOWN:
            self._wanted.set()
        try:
            yield feed
        finally:
            feed.readers -= 1
            if not feed.readers and self._feeds.get(job_id) is feed:
                del self._feeds[job_id]

    def close(self) -> None:
        """Let all readers go, and those who come later at once. Called on the event loop."""
        self._closed = True
        self._wanted.set()
        for feed in self._feeds.values():
            feed.close()

    async def wait_closed(self) -> None:
        """Wait until nobody reads from the store any more."""
        if self._looking is not None:
            await asyncio.wait([self._looking])

    async def _look_on(self) -> None:
        while not self._closed:
            feeds = {name: feed for name, feed in self._feeds.items() if feed.end is None}
            if not self._feeds:
                return
            await self._pause(await self._look(feeds))

    async def _pause(self, seconds: float) -> None:
        """Wait for the next look; a job that nobody followed before is looked at sooner."""
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            pass
        self._wanted.clear()

    async def _look(self, feeds: Mapping[str, Feed]) -> float:
        """Look once, tell the readers, and return how many seconds to pause."""
        if not feeds:
            return self._interval_seconds
        known = {name: feed.revision for name, feed in feeds.items()}
        try:
            found = await run_in_threadpool(self._find, known)
        except Exception:  # noqa: BLE001 - whatever it is, readers are told, and it looks again
            if not all(feed.troubled for feed in feeds.values()):
                _log.warning("the jobs that are followed cannot be read", exc_info=True)
            for feed in feeds.values():
                feed.falter()
            return PATIENCE * self._interval_seconds
        for name, feed in feeds.items():
            feed.troubled = False
            if name in found.revoked:
                feed.revoke()
            if name in found.gone:
                feed.vanish()
            elif name in found.news:
                feed.take(found.news[name])
        now = asyncio.get_running_loop().time()
        told = sum(feeds[name].readers for name in found.news)
        self._rest_until = max(self._rest_until, now + told * READER_SECONDS)
        return max(self._interval_seconds, self._rest_until - now)

    def _find(self, known: Mapping[str, int]) -> _Found:
        look = self._read(known)
        news = {name: render(change) for name, change in look.changed.items()}
        return _Found(news=news, gone=look.gone, revoked=look.revoked)
