"""The keeper: a small process that bears the measuring children, and buries them.

    session ── control ── keeper ── fork ── child ── whatever user code starts
        └───────────── channel ────────────────┘

It loads the measuring code once and then forks a child from itself for each time a fresh one
is wanted, so that a fresh child is there in milliseconds and not after loading torch. It never
touches a device: forking is safe only before that. Nothing of a workload ever runs in it.

It has one thread that lives as long as the process, adopts every process whose parent dies,
and ends with the session. So no descendant of a child can outlive the child, and no child its
session, whichever of them is killed, how, and whatever it was computing.

On the control socket the session sends `FORK` with one descriptor, or `TERMINATE`; the keeper
answers with the events `STARTED` and `EXITED`.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import warnings
from typing import Final

from workers.child import load, serve
from workers.processes import (
    adopt_orphans,
    descendants,
    die_with,
    signal_group,
    write_no_cores,
)

FORK: Final = b"F"
TERMINATE: Final = b"T"
"""Commands from the session."""

EVENT: Final = struct.Struct("!cii")
"""An event for the session: what, process id, exit code as `subprocess` counts it."""

STARTED: Final = b"S"
EXITED: Final = b"E"
"""Events. A child that has exited is reaped and its descendants are gone."""

TERMINATE_GRACE_SECONDS: Final = 0.5
"""Between SIGTERM and SIGKILL."""

SWEEP_SECONDS: Final = 1.0
"""How long killed descendants may take to vanish; longer ones hang inside the kernel."""

_GLANCE_SECONDS: Final = 1.0


def keep(control: int, measuring: str, search_path: str | None) -> int:
    """Be a keeper until the session closes its end or is gone.

    Args:
        control: Descriptor of the control socket.
        measuring: `module:class` that measures, loaded before the first fork.
        search_path: Folder appended last to the import path; None for none.

    Returns:
        The exit code.
    """
    adopt_orphans()
    write_no_cores()
    folder = tempfile.mkdtemp(prefix="batchscout-")
    os.chdir(folder)
    if search_path is not None:
        sys.path.append(search_path)
    try:
        load(measuring)
        Keeper(socket.socket(fileno=control), measuring).run()
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    return os.EX_OK


class Keeper:
    """Forks one child at a time and reports how it ended.

    Args:
        control: The socket to the session.
        measuring: `module:class` that measures.
    """

    def __init__(self, control: socket.socket, measuring: str) -> None:
        self._control = control
        self._measuring = measuring
        self._session_pid = os.getppid()
        self._child: int | None = None
        self._kill_at: float | None = None
        self._wake, wake_up = socket.socketpair()
        for end in (self._wake, wake_up):
            end.settimeout(0.0)
        self._wake_up = wake_up
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake_up.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve the session until it is gone; then kill whatever is left."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while os.getppid() == self._session_pid:
            for descriptor, _ in poller.poll(self._patience_seconds() * 1000):
                if descriptor == self._wake.fileno():
                    self._wake.recv(4096)
                elif not self._obey():
                    self._sweep()
                    return
            self._kill_if_due()
            self._bury()
        self._sweep()

    def _patience_seconds(self) -> float:
        if self._kill_at is None:
            return _GLANCE_SECONDS
        return max(0.0, self._kill_at - time.monotonic()) + 0.001

    def _obey(self) -> bool:
        try:
            command, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        except OSError:
            return False
        if command == FORK:
            self._fork(descriptors[0])
        elif command == TERMINATE and self._child is not None:
            self._terminate(self._child)
        return bool(command)

    def _fork(self, channel: int) -> None:
        keeper_pid = os.getpid()
        with warnings.catch_warnings():
            # Python warns of the threads that numerical libraries start when they are loaded;
            # those libraries are made to be forked.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if self._child == 0:
            self._become_child(channel, keeper_pid)
        os.close(channel)
        self._report(STARTED, self._child, 0)

    def _become_child(self, channel: int, keeper_pid: int) -> None:
        try:
            os.setsid()
            die_with(keeper_pid)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for end in (self._control, self._wake, self._wake_up):
                end.close()
            os.set_inheritable(channel, False)  # noqa: FBT003 - it takes no keyword
            serve(socket.socket(fileno=channel), self._measuring)
        finally:
            os._exit(os.EX_SOFTWARE)

    def _terminate(self, child: int) -> None:
        signal_group(child, signal.SIGTERM)
        self._kill_at = time.monotonic() + TERMINATE_GRACE_SECONDS

    def _kill_if_due(self) -> None:
        if self._child is None or self._kill_at is None or time.monotonic() < self._kill_at:
            return
        signal_group(self._child, signal.SIGKILL)
        self._kill_at = time.monotonic() + TERMINATE_GRACE_SECONDS

    def _bury(self) -> None:
        for pid, code in _reap():
            if pid == self._child:
                self._child = self._kill_at = None
                self._sweep()
                self._report(EXITED, pid, code)

    def _sweep(self) -> None:
        """Kill all descendants, however far they have moved away, and reap them."""
        give_up_at = time.monotonic() + SWEEP_SECONDS
        if self._child is not None:
            signal_group(self._child, signal.SIGKILL)
        while (left := descendants(os.getpid())) and time.monotonic() < give_up_at:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)
            _reap()
        _reap()

    def _report(self, event: bytes, pid: int, code: int) -> None:
        with contextlib.suppress(OSError):  # the session is gone: the next turn sees that
            self._control.sendall(EVENT.pack(event, pid, code))


def _reap() -> list[tuple[int, int]]:
    """Collect the exit codes of all children that have ended, adopted ones included."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while (status := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append((status[0], os.waitstatus_to_exitcode(status[1])))
    return ended
