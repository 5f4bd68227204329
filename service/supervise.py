"""`serve`: an API process and a controller process, kept alive and taken down together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from service import locks
from service.address import CannotServe, open_listener, publish, url_of
from service.child import Child
from service.settings import Settings

Role = Literal["api", "controller"]

READY_SECONDS: Final = 120.0
"""How long both processes may take to start; loading SciPy on a cold disk takes a while."""

EARLY_FAILURES: Final = 3
"""A process that ends so often before it was ever ready will not get better."""

LOCK_SECONDS: Final = 5.0
"""How long to wait for a service on the same folder that is just ending."""

POLL_SECONDS: Final = 0.05


class Supervisor:
    """Both processes of one service, or one of them.

    Args:
        settings: How it is deployed.
        only: The one process to run; None for both.
        log_file: Where the processes write their log; None for this one's standard error.
    """

    def __init__(
        self, settings: Settings, *, only: Role | None = None, log_file: Path | None = None
    ) -> None:
        self._settings = settings
        self._roles: Sequence[Role] = ("api", "controller") if only is None else (only,)
        self._log_file = log_file
        self._lock: int | None = None
        self._listener: socket.socket | None = None
        self._children: list[Child] = []

    @property
    def url(self) -> str | None:
        """Where the API answers; None without one."""
        return url_of(self._listener) if self._listener else None

    @property
    def pids(self) -> dict[str, int | None]:
        """Process ids by role; None while one is being replaced."""
        return {child.name: child.pid for child in self._children}

    def start(self) -> None:
        """Start the processes.

        Raises:
            CannotServe: The port is taken, another service has the data folder, or keys are
                demanded and there are none.
        """
        folder = self._settings.data_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if "api" in self._roles and self._settings.demands_keys:
                # Where no keys are demanded, this process needs no database.
                from service.admittance import check_keys  # noqa: PLC0415

                check_keys(self._settings)
            if "controller" in self._roles:
                self._lock = locks.acquire(folder / "controller.lock", timeout_seconds=LOCK_SECONDS)
            if "api" in self._roles:
                self._listener = open_listener(self._settings.host, self._settings.port)
        except locks.HeldElsewhere as error:
            raise CannotServe(
                f"Another service uses {folder} ({error}): use that one with --server, or "
                "choose another --data-dir."
            ) from error
        except OSError as error:
            raise CannotServe(f"The data folder {folder} cannot be used: {error}.") from error
        except CannotServe:
            self._release()
            raise
        for role in self._roles:
            child = Child(role, self._arguments(role), self._settings, self._log_file)
            self._children.append(child)
            child.start()

    def wait_ready(
        self, timeout_seconds: float = READY_SECONDS, stopping: threading.Event | None = None
    ) -> bool:
        """Wait until both processes do their work, and publish the address.

        Args:
            timeout_seconds: How long they may take.
            stopping: Ends the waiting.

        Returns:
            Whether they are ready; False if `stopping` was set before.

        Raises:
            CannotServe: One of them does not get ready.
        """
        end = time.monotonic() + timeout_seconds
        while not all(child.ready for child in self._children):
            if stopping is not None and stopping.wait(POLL_SECONDS):
                return False
            if stopping is None:
                time.sleep(POLL_SECONDS)
            self.look()
            failed = [c.name for c in self._children if c.early_failures >= EARLY_FAILURES]
            late = [c.name for c in self._children if not c.ready and time.monotonic() > end]
            if failed or late:
                where = f"see {self._log_file}" if self._log_file else "its log is above"
                raise CannotServe(f"The {(failed or late)[0]} process does not start: {where}.")
        if self.url is not None:
            publish(self._settings.data_dir / "address", self.url)
        return True

    def look(self) -> None:
        """Replace a process that has ended, sooner the longer it had lived."""
        for child in self._children:
            child.look()

    def watch(self, stopping: threading.Event) -> None:
        """Keep both processes alive until told to stop."""
        while not stopping.wait(POLL_SECONDS):
            self.look()

    def stop(self) -> None:
        """End both processes, by force where they do not end in time, and release all."""
        for child in self._children:
            child.terminate()
        end = time.monotonic() + self._settings.stop_grace_seconds
        for child in self._children:
            child.join(max(0.0, end - time.monotonic()))
        self._children.clear()
        self._release()

    def _arguments(self, role: Role) -> dict[str, int]:
        if role == "api" and self._listener is not None:
            return {"--listen-fd": self._listener.fileno()}
        return {"--lock-fd": self._lock} if self._lock is not None else {}

    def _release(self) -> None:
        if self._listener is not None:
            (self._settings.data_dir / "address").unlink(missing_ok=True)
            self._listener.close()
            self._listener = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def serve(
    settings: Settings,
    *,
    only: Role | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; afterwards no process is left.

    Args:
        settings: How it is deployed.
        only: The one process to run, for a container; None for both.
        announce: Gets one line when the service is ready; None prints it.

    Raises:
        CannotServe: It cannot start; the message says what to change.
    """
    stopping = threading.Event()
    with _heed_signals(stopping):
        supervisor = Supervisor(settings, only=only)
        try:
            supervisor.start()
            if supervisor.wait_ready(stopping=stopping):
                (announce or _print)(_line(settings, supervisor))
            supervisor.watch(stopping)
        finally:
            supervisor.stop()


class Embedded:
    """A service in the background of this process, for as long as a `with` block lasts.

    If this process is killed, both processes of the service notice and end.

    Args:
        settings: How it is deployed; port 0 is the one to choose.
        log_file: Where it logs; None for `service.log` in the data folder.
    """

    def __init__(self, settings: Settings, *, log_file: Path | None = None) -> None:
        log = log_file or settings.data_dir / "service.log"
        self._supervisor = Supervisor(settings, log_file=log)
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._supervisor.watch, args=(self._stopping,), name="supervisor", daemon=True
        )

    @property
    def url(self) -> str:
        """Where the API answers."""
        url = self._supervisor.url
        if url is None:
            raise RuntimeError("the service does not run: enter the `with` block first")
        return url

    @property
    def pids(self) -> dict[str, int | None]:
        """Process ids of `api` and `controller`; None while one is being replaced."""
        return self._supervisor.pids

    def __enter__(self) -> Self:
        """Start the service and wait until it is ready.

        Raises:
            CannotServe: It cannot start; the message says what to change.
        """
        try:
            self._supervisor.start()
            self._supervisor.wait_ready()
        except BaseException:
            self._supervisor.stop()
            raise
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the service; afterwards no process is left."""
        self._stopping.set()
        self._thread.join()
        self._supervisor.stop()


@contextlib.contextmanager
def _heed_signals(stopping: threading.Event) -> Iterator[None]:
    def heed(*_: object) -> None:
        stopping.set()

    before = {number: signal.signal(number, heed) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(settings: Settings, supervisor: Supervisor) -> str:
    folder = settings.data_dir
    if supervisor.url is None:
        return f"batchscout's controller drives the jobs in {folder}"
    return f"batchscout answers at {supervisor.url} (data in {folder})"


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
