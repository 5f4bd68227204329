"""One supervised process: started, watched, replaced with growing patience, ended."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from service.settings import PREFIX, Settings

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 30.0
"""A process that has lived so long is replaced at once when it ends."""

ROOT: Final = Path(__file__).resolve().parent.parent
"""The folder that holds this very package."""


class Child:
    """A process of the service.

    Args:
        name: `api` or `controller`.
        descriptors: Open descriptors that it inherits, by the option that names them.
        settings: Handed on through its environment.
        log_file: Where it logs; None for this process's standard error.
    """

    def __init__(
        self,
        name: str,
        descriptors: Mapping[str, int],
        settings: Settings,
        log_file: Path | None,
    ) -> None:
        self.name = name
        self.ready = False
        self.early_failures = 0
        self._descriptors = descriptors
        self._settings = settings
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._ready_fd: int | None = None
        self._started_at = 0.0
        self._next_start: float | None = None
        self._failures = 0

    @property
    def pid(self) -> int | None:
        """Its process id, or None while it is being replaced."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it; it ends when this process does, for its standard input closes then."""
        self._ready_fd, told = os.pipe()
        os.set_blocking(self._ready_fd, False)
        descriptors = {**self._descriptors, "--ready-fd": told}
        options = [part for key, fd in descriptors.items() for part in (key, str(fd))]
        log = self._log_file.open("ab") if self._log_file else None
        try:
            # Its own session: a Ctrl-C in the terminal is for the supervisor alone.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "service.processes", self.name, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(self._settings),
                pass_fds=tuple(descriptors.values()),
                start_new_session=True,
            )
        finally:
            os.close(told)
            if log is not None:
                log.close()
        self._started_at = time.monotonic()
        self._next_start = None

    def look(self) -> None:
        """Notice that it is ready, or that it has ended; start another one when it is time."""
        if self._process is not None:
            self._notice_ready()
            if self._process.poll() is not None:
                self._bury()
        elif self._next_start is not None and time.monotonic() >= self._next_start:
            self.start()

    def terminate(self) -> None:
        """Ask it to end."""
        self._next_start = None
        if self._process is not None:
            self._process.terminate()

    def join(self, timeout_seconds: float) -> None:
        """Wait for its end, then force it."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _notice_ready(self) -> None:
        if self.ready or self._ready_fd is None:
            return
        try:
            self.ready = os.read(self._ready_fd, 1) == b"1"
        except BlockingIOError:
            return

    def _bury(self) -> None:
        lived = time.monotonic() - self._started_at
        self._failures = 0 if lived > STEADY_SECONDS else self._failures + 1
        self.early_failures += not self.ready
        pause = FIRST_PAUSE_SECONDS * 2 ** max(0, self._failures - 1)
        self._next_start = time.monotonic() + min(pause, LONGEST_PAUSE_SECONDS)
        self._close()

    def _close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        if self._ready_fd is not None:
            os.close(self._ready_fd)
        self._process = self._ready_fd = None


def _environment(settings: Settings) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    environment.update(settings.environment())
    # Whatever folder the user stands in, and whatever is on their path: the process must find
    # this very package, not another one by the same plain name.
    environment.pop("PYTHONPATH", None)
    if str(ROOT) not in {*site.getsitepackages(), site.getusersitepackages()}:
        environment["PYTHONPATH"] = str(ROOT)
    return environment
