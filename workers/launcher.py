"""The session's side of a keeper: it starts one, and children from it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tuner
import workers
from workers.channel import Channel, ChannelClosed, readable
from workers.child import MEASURING
from workers.environment import scrubbed
from workers.keeper import EVENT, FORK, STARTED, TERMINATE
from workers.messages import Message
from workers.output import Output
from workers.processes import descendants, signal_group

START_SECONDS: Final = 180.0
"""How long loading the measuring code may take; a cold network disk is slow."""

END_SECONDS: Final = 1.5
"""How long a keeper may take to end a child before both are killed outright."""


class StartFailed(Exception):
    """The keeper or its child did not come up; the message holds what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a keeper is started with.

    Args:
        visible_devices: Value of `CUDA_VISIBLE_DEVICES`; empty hides every card.
        measuring: `module:class` that measures. Only tests put another in its place, in the
            process that makes the session; no request, file or environment can.
        search_path: Folder appended last to the import path, where that class lies
            elsewhere.
    """

    visible_devices: str = ""
    measuring: str = MEASURING
    search_path: Path | None = None


class Child:
    """A child of the keeper.

    Args:
        pid: Its process id, and that of its group.
        channel: The socket to it.
    """

    def __init__(self, pid: int, channel: Channel) -> None:
        self.pid = pid
        self.channel = channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The child has ended and its descendants with it; the code is None if that is unknown."""

    code: int | None


class Launcher:
    """One keeper and at most one child of it.

    One thread starts children and waits for them; `terminate` and `kill` may come from any.

    Args:
        setup: What the keeper is started with.
        inherit: Descriptors that the keeper and its children hold open, such as a lock.
    """

    def __init__(self, setup: Setup, inherit: tuple[int, ...] = ()) -> None:
        self._control, far_end = socket.socketpair()
        source, sink = os.pipe()
        # A keeper takes its folder along; this side is for one that was killed.
        self._folder = tempfile.mkdtemp(prefix="batchscout-")
        try:
            self._process = _start_keeper(setup, far_end.fileno(), sink, inherit, cwd=self._folder)
        except OSError:
            self._control.close()
            os.close(source)
            shutil.rmtree(self._folder)
            raise
        finally:
            far_end.close()
            os.close(sink)
        self.output = Output(source)
        self._commanding = threading.Lock()
        self._child: Child | None = None

    @property
    def keeper_pid(self) -> int:
        """Process id of the keeper."""
        return self._process.pid

    def start_child(self, modules: Iterable[str] = ()) -> Child:
        """Start a child; the first one waits until the keeper has loaded what measures.

        Args:
            modules: Of libraries, which the keeper loads before.

        Raises:
            StartFailed: The keeper is gone, or nothing came in `START_SECONDS`.
        """
        near, far = socket.socketpair()
        try:
            with self._commanding:
                command = FORK + json.dumps(list(modules)).encode() + b"\n"
                socket.send_fds(self._control, [command], [far.fileno()])
        except OSError as error:
            near.close()
            raise StartFailed(self.output.tail() or str(error)) from error
        finally:
            far.close()
        event = self._next_event(START_SECONDS)
        if event is None or event[0] != STARTED:
            near.close()
            raise StartFailed(self._last_words())
        self._child = Child(event[1], Channel(near))
        return self._child

    def wait(self, child: Child, timeout_seconds: float | None) -> Message | Gone | None:
        """Wait for the next message of a child, or for its end.

        Args:
            child: The one that runs.
            timeout_seconds: None waits for ever.

        Returns:
            A message; or how the child ended, once it has and no message is left; or None
            when the time is over.
        """
        if not readable(child.channel, self._control, timeout_seconds=timeout_seconds):
            return None
        try:
            message = child.channel.receive(timeout_seconds=0.0)
        except ChannelClosed:
            # Its end is closed, so nothing more can come of it, whether it still runs or not.
            return self.end_child(child)
        if message is not None or not readable(self._control, timeout_seconds=0.0):
            return message
        return self._last_message(child) or self.end_child(child)

    def end_child(self, child: Child) -> Gone:
        """End a child, if it has not ended, and wait until it is gone.

        Returns:
            How it ended, at most `END_SECONDS` and the time of a SIGKILL later.
        """
        self._child = None
        child.channel.close()
        self.terminate()
        event = self._next_event(END_SECONDS)
        if event is None:
            self.kill(child)
            return Gone(code=None)
        return Gone(code=event[2])

    def terminate(self) -> None:
        """Have the child ended, politely first; `wait` then tells."""
        with self._commanding, contextlib.suppress(OSError):
            self._control.sendall(TERMINATE + b"\n")

    def kill(self, child: Child | None = None) -> None:
        """Kill the keeper and all that descends from it outright."""
        child = child or self._child
        family = descendants(self._process.pid)
        self._process.kill()
        for pid in family:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if child is not None:
            signal_group(child.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End the keeper with all that descends from it, and wait until they are gone."""
        if self._child is not None:
            self._child.channel.close()
        with self._commanding:
            self._control.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.output.join(END_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _last_message(self, child: Child) -> Message | None:
        try:
            return child.channel.receive(timeout_seconds=0.0)
        except ChannelClosed:
            return None

    def _last_words(self) -> str:
        """What a keeper printed before it ended; wait for its end a little."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        return self.output.tail() or "The keeper did not start a child."

    def _next_event(self, timeout_seconds: float) -> tuple[bytes, int, int] | None:
        give_up_at = time.monotonic() + timeout_seconds
        unread = b""
        while len(unread) < EVENT.size:
            left_seconds = give_up_at - time.monotonic()
            if not readable(self._control, timeout_seconds=left_seconds):
                return None
            try:
                some = self._control.recv(EVENT.size - len(unread))
            except OSError:
                return None
            if not some:
                return None
            unread += some
        event: tuple[bytes, int, int] = EVENT.unpack(unread)
        return event


def _start_keeper(
    setup: Setup, control: int, sink: int, inherit: tuple[int, ...], *, cwd: str
) -> subprocess.Popen[bytes]:
    options = {
        "packages": {p.__name__: next(iter(p.__path__)) for p in (tuner, workers)},
        "control": control,
        "measuring": setup.measuring,
        "search_path": None if setup.search_path is None else str(setup.search_path),
    }
    boot = Path(next(iter(workers.__path__))) / "boot.py"
    return subprocess.Popen(  # noqa: S603 - our own interpreter and file, no shell
        [sys.executable, "-P", str(boot), json.dumps(options)],
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        env=scrubbed(os.environ, setup.visible_devices),
        cwd=cwd,
        pass_fds=(control, *inherit),
        start_new_session=True,
    )
