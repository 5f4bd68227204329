"""The child: the one process that loads the measuring code and runs workloads.

It speaks to its session over a socket of its own, never over standard output, which belongs to
user code. One thread reads the socket: it notes tightened limits while a run goes on, and ends
the process at once when the session closes its end, also in the middle of a computation.

Exit codes: 0 the session has closed; 70 something escaped the measurement that is not the
workload's fault; 76 the session sent what this version does not understand. Whatever else
comes out is user code's doing.
"""

from __future__ import annotations

import faulthandler
import os
import platform
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any, Final, NoReturn, Protocol

from tuner.errors import Problem, TunerError
from tuner.places import Places
from tuner.records import Measurement, Request
from workers.channel import Channel, ChannelClosed
from workers.messages import (
    Configure,
    Done,
    Fault,
    Measure,
    Message,
    Ping,
    Pong,
    ProtocolError,
    Ready,
    TightenRun,
)

MEASURING: Final = "tuner.measuring.dispatch:Measuring"
"""What measures, unless a test puts something else in its place."""

LOADED: Final = ("torch", "numpy", "transformers", "sklearn")
"""Packages whose versions a child tells, if it has loaded them."""

TRACEBACK_CHARACTERS: Final = 16_384
"""A longer traceback loses its beginning."""


class Measuring(Protocol):
    """What measures, made once in a child with the places of its deployment."""

    def measure(self, request: Request, *, tightened: Callable[[], int | None]) -> Measurement:
        """Measure one request.

        Args:
            request: What to measure.
            tightened: The lowest step limit told since, or None; cheap to call.

        Raises:
            TunerError: The workload itself is at fault.
        """


def load(measuring: str) -> Callable[[Places], Measuring]:
    """Import what measures.

    Args:
        measuring: `module:class`.

    Returns:
        The class.
    """
    module, _, name = measuring.partition(":")
    made: Callable[[Places], Measuring] = getattr(import_module(module), name)
    return made


def serve(connected: socket.socket, measuring: str) -> NoReturn:
    """Answer requests until the session closes its end; never returns.

    Args:
        connected: The socket to the session.
        measuring: `module:class` that measures.
    """
    faulthandler.enable()
    channel = Channel(connected)
    inbox = Inbox(channel)
    try:
        code = _answer_all(channel, inbox, load(measuring))
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except ProtocolError:
        code = os.EX_PROTOCOL
        traceback.print_exc()
    except BaseException:  # noqa: BLE001 - the last frame of the process: tell, then go
        code = os.EX_SOFTWARE
        traceback.print_exc()
    _leave(code)


class Inbox:
    """Reads the socket in a thread of its own.

    Args:
        channel: The socket to the session.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._limits: dict[str, int] = {}
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self) -> Message:
        """Wait for the next message that is not a tightened limit."""
        return self._messages.get()

    def limit(self, request_id: str) -> int | None:
        """Return the lowest step limit told for a request, or None."""
        return self._limits.get(request_id)

    def forget_limits(self) -> None:
        """Drop the limits of requests that have ended."""
        self._limits.clear()

    def _read(self) -> None:
        try:
            while (message := self._channel.receive()) is not None:
                if isinstance(message, TightenRun):
                    known = self._limits.get(message.request_id, message.max_steps)
                    self._limits[message.request_id] = min(known, message.max_steps)
                else:
                    self._messages.put(message)
        except ChannelClosed:
            os._exit(os.EX_OK)
        except (ProtocolError, TunerError):
            traceback.print_exc()
            os._exit(os.EX_PROTOCOL)


def _answer_all(channel: Channel, inbox: Inbox, make: Callable[[Places], Measuring]) -> int:
    """Answer messages in order until the session has closed."""
    places: Places | None = None
    measuring: Measuring | None = None
    while True:
        message = inbox.next()
        try:
            match message:
                case Configure():
                    places = message.places
                    channel.send(Ready(versions=_versions()))
                case Ping(number=number):
                    channel.send(Pong(number=number))
                case Measure(request=request) if places is not None:
                    began = time.monotonic()
                    try:
                        measuring = measuring or make(places)
                        answer = _measure(measuring, request, inbox)
                    except TunerError as error:
                        answer = _fault(request, error, time.monotonic() - began)
                    inbox.forget_limits()
                    _send_answer(channel, answer)
                case _:
                    raise ProtocolError(f"did not expect {type(message).__name__} here")
        except ChannelClosed:
            return os.EX_OK


def _measure(measuring: Measuring, request: Request, inbox: Inbox) -> Done | Fault:
    result = measuring.measure(request, tightened=lambda: inbox.limit(request.id))
    return Done(request_id=request.id, result=result)


def _fault(request: Request, error: TunerError, device_seconds: float) -> Fault:
    problem = error.problem
    if problem.traceback is None and error.__cause__ is not None:
        lines = traceback.format_exception(error.__cause__)
        problem = replace(problem, traceback="".join(lines)[-TRACEBACK_CHARACTERS:])
    return Fault(request_id=request.id, problem=problem, device_seconds=device_seconds)


def _send_answer(channel: Channel, answer: Done | Fault) -> None:
    try:
        channel.send(answer)
    except ProtocolError as error:
        problem = Problem(code="internal_error", detail=f"The result cannot be sent: {error}.")
        seconds = getattr(getattr(answer, "result", answer), "device_seconds", 0.0)
        channel.send(Fault(request_id=answer.request_id, problem=problem, device_seconds=seconds))


def _versions() -> dict[str, str]:
    loaded: dict[str, Any] = {name: sys.modules.get(name) for name in LOADED}
    versions = {n: str(m.__version__) for n, m in loaded.items() if hasattr(m, "__version__")}
    return {"python": platform.python_version()} | versions


def _leave(code: int) -> NoReturn:
    """End without waiting for threads that user code may have left."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code & 0xFF)
