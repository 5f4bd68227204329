"""Wake long polls when their job changes: one look at the database for all of them.

Each that is woken asks again. Where many wait for a job that changes often, answering all of
them at every change would take the processor from that very job, so news of a job under way wait
the longer the more there are to be told. News of an end are told at once.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool

from service.store.tables import TERMINAL

EACH_SECONDS: Final = 0.05
"""Rest after each that was told of news: some 2 ms of work are then a few per cent of a core."""

Status = tuple[int, str]
"""Revision and state of a job."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    job_id: str
    enough: Callable[[Status], bool]
    done: asyncio.Event


class Watch:
    """Waits for changes of jobs.

    Args:
        read: Reads the status of several jobs at once; runs in a thread.
        interval_seconds: How often to look while someone waits.
        clock: Monotonic seconds, for the rests.
    """

    def __init__(
        self,
        read: Callable[[Collection[str]], Mapping[str, Status]],
        *,
        interval_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._interval_seconds = interval_seconds
        self._waiters: set[_Waiter] = set()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False
        self._clock = clock
        self._rest_until = -math.inf

    async def wait(
        self, job_id: str, enough: Callable[[Status], bool], *, timeout_seconds: float
    ) -> None:
        """Wait until a job's status is enough, the time is over or the service stops.

        Args:
            job_id: Which job.
            enough: Whether a status ends the waiting.
            timeout_seconds: How long to wait at most.
        """
        if self._closed or timeout_seconds <= 0:
            return
        waiter = _Waiter(job_id, enough, asyncio.Event())
        self._waiters.add(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter.done.wait()
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)

    def close(self) -> None:
        """Let everyone go; later waits return at once. Called on the event loop."""
        self._closed = True
        for waiter in self._waiters:
            waiter.done.set()

    async def _look(self) -> None:
        while self._waiters and not self._closed:
            await self._wake()
            await asyncio.sleep(self._interval_seconds)

    async def _wake(self) -> None:
        asked = {waiter.job_id for waiter in self._waiters}
        try:
            found = await run_in_threadpool(self._read, asked)
        except Exception:  # noqa: BLE001 - the request itself reads again, and reports it
            asked, found = set(), {}
            for waiter in self._waiters:
                waiter.done.set()
        rested = self._clock() >= self._rest_until
        told = 0
        for waiter in tuple(self._waiters):
            status = found.get(waiter.job_id)
            if status is None:
                # A job that is gone will not change any more. Who came during the look was not
                # asked for: that is no sign that a job is gone.
                if waiter.job_id in asked:
                    waiter.done.set()
            elif (rested or status[1] in TERMINAL) and waiter.enough(status):
                waiter.done.set()
                told += 1
        if told:
            self._rest_until = self._clock() + told * EACH_SECONDS
