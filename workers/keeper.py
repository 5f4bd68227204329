"""The keeper: a small process that bears the measuring children, and buries them.

    session ── control ── keeper ── fork ── child ── whatever user code starts
        └───────────── channel ────────────────┘

It loads the measuring code once and then forks a child from itself for each time a fresh one
is wanted, so that a fresh child is there in milliseconds and not after loading torch. It never
touches a device: forking is safe only before that. Nothing of a workload ever runs in it.

It has one thread that lives as long as the process, adopts every process whose parent dies,
and ends with the session. So no descendant of a child can outlive the child, and no child its
session, whichever of them is killed, how, and whatever it was computing.

Should a library initialise the CUDA driver while it is loaded, which none is known to do, the
child begins anew from a bare interpreter instead, slower and safe.

On the control socket the session sends lines: `FORK` with the modules to load before, as JSON,
and one descriptor beside; or `TERMINATE`. The keeper answers with the events `STARTED` and
`EXITED`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from workers import processes
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
"""How commands of the session begin."""

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


def start(options: dict[str, Any]) -> int:
    """Be a keeper until the session closes its end or is gone, or a child that begins anew.

    Args:
        options: `measuring` (`module:class`, loaded before the first fork) and `search_path`
            (a folder appended last to the import path, or None); for a keeper `control`, the
            descriptor of its socket; for a child `channel`, that of its own.

    Returns:
        The exit code. The folder it was started in is gone with it.
    """
    if options["search_path"] is not None:
        sys.path.append(options["search_path"])
    if "channel" in options:
        serve(socket.socket(fileno=options["channel"]), options["measuring"])
    adopt_orphans()
    write_no_cores()
    folder = Path.cwd()
    try:
        load(options["measuring"])
        Keeper(options).run()
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    return os.EX_OK


class Keeper:
    """Forks one child at a time and reports how it ended.

    Args:
        options: What `start` was called with.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._control = socket.socket(fileno=options["control"])
        self._unread = b""
        self._channels: list[int] = []
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
        """Read commands and follow them; False once the session has closed."""
        try:
            some, channels, _, _ = socket.recv_fds(self._control, 4096, 1)
        except OSError:
            return False
        self._channels += channels
        *lines, self._unread = (self._unread + some).split(b"\n")
        for line in lines:
            if line.startswith(FORK):
                self._fork(self._channels.pop(0), json.loads(line[1:]))
            elif self._child is not None:
                self._terminate(self._child)
        return bool(some)

    def _fork(self, channel: int, modules: list[str]) -> None:
        for module in modules:
            with contextlib.suppress(Exception):  # the child will tell, if it needs it
                import_module(module)
        gc.freeze()  # a collection in the child would else copy every page it looks at
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
            if processes.has_opened_card():
                self._begin_anew(channel)
            os.set_inheritable(channel, False)  # noqa: FBT003 - it takes no keyword
            serve(socket.socket(fileno=channel), self._options["measuring"])
        finally:
            os._exit(os.EX_SOFTWARE)

    def _begin_anew(self, channel: int) -> None:
        os.set_inheritable(channel, True)  # noqa: FBT003 - it takes no keyword
        options = json.dumps(self._options | {"channel": channel})
        os.execv(sys.executable, [sys.executable, "-P", sys.argv[0], options])  # noqa: S606

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
