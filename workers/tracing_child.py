"""The one child that traces for a process which never loads torch itself.

It is started with the first trace, kept warm for the next ones, ended after a while without
work, and replaced when it dies. One caller traces at a time; a few wait, the others are told
to come back.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tuner.errors import TunerError
from tuner.places import Places
from tuner.records import MemoryPrediction, MemoryTrace
from workers.devices import cpu
from workers.executor import AttemptFailed, AttemptId, Finished
from workers.session import DeviceSession

MAX_WAITING: Final = 8
"""Callers that wait for their turn at most; each holds a thread."""

CLOSE_SECONDS: Final = 5.0
"""How long closing waits for the caller whose trace it ended."""

Trace = Callable[[MemoryTrace], MemoryPrediction]


class TraceNotMade(Exception):
    """There is no prediction, and the workload is not known to be at fault."""


class Busy(TraceNotMade):
    """Others are tracing; come back later."""


class TookTooLong(TraceNotMade):
    """The time ended before the traces did."""


class ChildDied(TraceNotMade):
    """The child ended without an answer; the message says how."""


class TracingChild:
    """Traces, one caller at a time. Methods may be called from any thread.

    Args:
        places: Where files and own code may lie.
        wait_seconds: How long a caller waits for its turn.
        limit_seconds: How long all traces of one turn may take.
        idle_seconds: How long the child is kept without work.
        open_session: Makes the session that owns the child.
    """

    def __init__(
        self,
        places: Places,
        *,
        wait_seconds: float,
        limit_seconds: float,
        idle_seconds: float,
        open_session: Callable[[], DeviceSession] = lambda: DeviceSession(cpu()),
    ) -> None:
        self.places = places
        self._wait_seconds = wait_seconds
        self._limit_seconds = limit_seconds
        self._idle_seconds = idle_seconds
        self._open_session = open_session
        self._turn = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._guard = threading.Lock()
        self._session: DeviceSession | None = None
        self._running: AttemptId | None = None
        self._rest: threading.Timer | None = None
        self._closed = False
        self._numbers = itertools.count(1)

    @property
    def pid(self) -> int | None:
        """Process id of the warm child, if there is one."""
        session = self._session
        return session.slot().child_pid if session else None

    @contextmanager
    def turn(self, *, keep: bool) -> Iterator[Trace]:
        """Take the child for some traces.

        Args:
            keep: Whether a child that served others may serve this one; own code may have
                changed since, and is then imported anew.

        Yields:
            A function from request to prediction. It raises `TunerError` where the workload
            is at fault, `TookTooLong` and `ChildDied`.

        Raises:
            Busy: Nobody left in time, or too many wait.
        """
        self._take()
        try:
            job_id = "estimates" if keep else f"estimate-{next(self._numbers)}"
            ends_at = time.monotonic() + self._limit_seconds
            yield lambda request: self._trace(request, job_id, ends_at)
        finally:
            self._let_go()

    def close(self) -> None:
        """End the trace that runs, its child and everything that was started."""
        with self._guard:
            self._closed = True
            if self._rest is not None:
                self._rest.cancel()
            session, running = self._session, self._running
        if session is not None and running is not None:
            session.cancel(running)
        taken = self._turn.acquire(timeout=CLOSE_SECONDS)
        self._end()
        if taken:
            self._turn.release()

    def _take(self) -> None:
        if self._turn.acquire(blocking=False):
            return
        if not self._waiting.acquire(blocking=False):
            raise Busy(f"{MAX_WAITING} others wait already.")
        try:
            if not self._turn.acquire(timeout=self._wait_seconds):
                raise Busy(f"Another one was still running after {self._wait_seconds:g} s.")
        finally:
            self._waiting.release()

    def _let_go(self) -> None:
        with self._guard:
            if self._rest is not None:
                self._rest.cancel()
            self._rest = None
            if not self._closed:
                self._rest = threading.Timer(self._idle_seconds, self._end_if_idle)
                self._rest.daemon = True
                self._rest.start()
        self._turn.release()

    def _end_if_idle(self) -> None:
        if self._turn.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._turn.release()

    def _end(self) -> None:
        with self._guard:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _trace(self, request: MemoryTrace, job_id: str, ends_at: float) -> MemoryPrediction:
        attempt = AttemptId(job_id=job_id, request_id=request.id, number=next(self._numbers))
        left = ends_at - time.monotonic()
        session = self._begin(attempt)
        overdue = threading.Event()

        def end() -> None:
            overdue.set()
            session.cancel(attempt)

        watch = threading.Timer(max(0.0, left), end)
        watch.daemon = True
        watch.start()
        try:
            update = session.measure(attempt, request, self.places)
        finally:
            watch.cancel()
            with self._guard:
                self._running = None
        if isinstance(update, Finished) and isinstance(update.result, MemoryPrediction):
            return update.result
        if isinstance(update, AttemptFailed):
            raise TunerError.of(update.problem)
        if overdue.is_set():
            raise TookTooLong(f"It took more than {self._limit_seconds:g} s.")
        raise ChildDied(getattr(update, "detail", "") or "It ended without an answer.")

    def _begin(self, attempt: AttemptId) -> DeviceSession:
        with self._guard:
            if self._closed:
                raise ChildDied("The service is being stopped.")
            if self._session is None:
                self._session = self._open_session()
            self._session.expect(attempt)
            self._running = attempt
            return self._session
