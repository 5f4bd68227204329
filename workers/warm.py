"""The one child of a device: kept warm while it can serve, replaced when it cannot."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from tuner.errors import TunerError
from tuner.places import Places
from workers.channel import ChannelClosed
from workers.launcher import END_SECONDS, START_SECONDS, Child, Gone, Launcher, StartFailed
from workers.messages import Configure, Message, ProtocolError, Ready

logger = logging.getLogger(__name__)

GLANCE_SECONDS: Final = 0.25
"""How often a waiting thread looks whether a cancelled child hangs."""


class ChildLost(Exception):
    """The child ended before it answered, or never started.

    Args:
        code: As `subprocess` counts; None if it is unknown.
        printed: The last lines it has printed.
        started: Whether it was there at all.
    """

    def __init__(self, code: int | None, printed: str = "", *, started: bool = True) -> None:
        super().__init__(code, printed)
        self.code = code
        self.printed = printed
        self.started = started


class WarmChild:
    """Holds a keeper and its child.

    `stop`, `tell` and `pid` may be used from any thread; the rest belongs to one at a time.

    Args:
        launch: Starts a keeper.
    """

    def __init__(self, launch: Callable[[], Launcher]) -> None:
        self._launch = launch
        self._guard = threading.RLock()
        self._launcher: Launcher | None = None
        self._child: Child | None = None
        self._serves: tuple[str, Places] | None = None
        self._stopped_at: float | None = None
        self.started = 0
        self.versions: dict[str, str] = {}

    @property
    def pid(self) -> int | None:
        """Process id of the child, if there is one."""
        with self._guard:
            return self._child.pid if self._child else None

    def prepare(
        self, job_id: str, places: Places, *, fresh: bool, modules: Iterable[str] = ()
    ) -> None:
        """Have a child ready that serves a job.

        Args:
            job_id: Whose requests come next.
            places: What it is configured with.
            fresh: Whether it must not have measured anything yet.
            modules: Of libraries, which a new child shall have loaded.

        Raises:
            ChildLost: It did not come up.
        """
        reusable = self._serves == (job_id, places) and not fresh and self._is_alive()
        if self._launcher is not None:
            self._launcher.output.clear()
        if not reusable:
            self.retire()
            self._start(places, modules)
            self._serves = (job_id, places)

    def ask(self, message: Message) -> None:
        """Send a message to the child.

        Raises:
            ChildLost: It is gone, or does not read any more.
        """
        child = self._child
        if child is None:
            raise ChildLost(None, started=False)
        try:
            child.channel.send(message)
        except ChannelClosed as error:
            raise self._lost() from error

    def answer(self, deadline: float | None = None) -> Message | None:
        """Wait for the next message of the child.

        Args:
            deadline: On the monotonic clock; None waits for ever.

        Returns:
            The message, or None when the time is over.

        Raises:
            ChildLost: It is gone.
        """
        while deadline is None or time.monotonic() < deadline:
            launcher, child = self._launcher, self._child
            if launcher is None or child is None:
                raise ChildLost(None)
            try:
                news = launcher.wait(child, GLANCE_SECONDS)
            except (ProtocolError, TunerError) as error:
                raise self._lost(str(error)) from error
            if isinstance(news, Gone):
                raise self._buried(news)
            if news is not None:
                return news
            if self._hangs():
                raise self._lost()
        return None

    def tell(self, message: Message) -> None:
        """Send a message that needs no answer; never an error."""
        with self._guard:
            child = self._child
        if child is not None:
            try:
                child.channel.send(message)
            except ChannelClosed:
                logger.debug("the child ended before it could be told")

    def allow(self) -> None:
        """Take back an earlier `stop`: what comes now is another measurement."""
        with self._guard:
            self._stopped_at = None

    def stop(self) -> None:
        """Have the child ended from another thread.

        `answer` then raises `ChildLost`, and so does `prepare`, until it is allowed again.
        """
        with self._guard:
            launcher, child = self._launcher, self._child
            self._stopped_at = time.monotonic()
        if launcher is None:
            return
        if child is not None:
            launcher.terminate()
        else:
            launcher.kill()  # the keeper is still loading, and does not listen yet

    def retire(self) -> None:
        """End the child; the next one comes from the same keeper."""
        launcher, child = self._launcher, self._child
        if launcher is not None and child is not None:
            self._bury(launcher.end_child(child))

    def close(self) -> None:
        """End the child and its keeper, and wait until they are gone."""
        with self._guard:
            launcher, self._launcher = self._launcher, None
            self._child = self._serves = None
        if launcher is not None:
            launcher.close()

    def _start(self, places: Places, modules: Iterable[str]) -> None:
        try:
            child = self._keeper().start_child(modules)
        except (StartFailed, OSError) as error:
            self.close()
            raise ChildLost(None, str(error), started=False) from error
        with self._guard:
            self._child = child
            self.started += 1
        self.ask(Configure(places=places))
        ready = self.answer(time.monotonic() + START_SECONDS)
        if not isinstance(ready, Ready):
            raise self._lost()
        self.versions = dict(ready.versions)

    def _keeper(self) -> Launcher:
        with self._guard:
            if self._stopped_at is not None:
                raise StartFailed("It was stopped before it started.")
            self._launcher = self._launcher or self._launch()
            return self._launcher

    def _is_alive(self) -> bool:
        launcher, child = self._launcher, self._child
        if launcher is None or child is None:
            return False
        news = launcher.wait(child, 0.0)
        if isinstance(news, Gone):
            self._bury(news)
        return news is None

    def _hangs(self) -> bool:
        """Whether the keeper should long have ended the child, and has not."""
        with self._guard:
            stopped_at = self._stopped_at
        return stopped_at is not None and time.monotonic() > stopped_at + END_SECONDS

    def _lost(self, reason: str = "") -> ChildLost:
        """End what is left of the child and say how it ended."""
        launcher, child = self._launcher, self._child
        if launcher is None or child is None:
            return ChildLost(None, reason)
        return self._buried(launcher.end_child(child), reason)

    def _buried(self, gone: Gone, reason: str = "") -> ChildLost:
        printed = self._launcher.output.tail() if self._launcher else ""
        self._bury(gone)
        return ChildLost(gone.code, "\n".join(part for part in (reason, printed) if part))

    def _bury(self, gone: Gone) -> None:
        with self._guard:
            self._child = self._serves = None
        if gone.code is None:
            self.close()  # the keeper is gone as well
