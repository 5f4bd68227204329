"""Versioned frames between a session and the child that measures for it.

    session -> child    Configure   once, first: places
                        Measure     a request
                        TightenRun  a lower step limit for the request that runs
                        Ping        an empty request
    child -> session    Ready       configured; what it runs on
                        Pong        the answer to a ping
                        Done        the result of a request
                        Fault       the workload itself is at fault

A frame is four bytes of length, big-endian, then that many bytes of JSON. Requests, results
and problems travel in the codec of `tuner.records`; nothing is ever pickled, so that a child
full of foreign code cannot make its session run any.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tuner.errors import Problem
from tuner.places import Places
from tuner.records import RECORDS, Measurement, Request, decode, encode

PROTOCOL_VERSION: Final = 1
"""Raised whenever an older reader could no longer understand a frame."""

MAX_FRAME_BYTES: Final = 32 * 2**20
"""Longest body. A loss curve of 100,000 points takes about 6 MiB."""

LENGTH: Final = struct.Struct("!I")
"""The length before each body."""


class ProtocolError(Exception):
    """A frame that this version does not understand, or that is too long. A bug, or noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """The first frame of every child: where its deployment keeps things."""

    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Measure this and answer `Done` or `Fault`."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class TightenRun:
    """Let the run of this request end earlier; ignored if it has ended already."""

    request_id: str
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Answer `Pong` with the same number, once everything before it is done."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The child is configured.

    Args:
        versions: Of `python` and of what it has loaded to measure with.
    """

    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """The answer to a ping."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A request was measured."""

    request_id: str
    result: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A request can never be measured: the workload itself is at fault."""

    request_id: str
    problem: Problem
    device_seconds: float


Message = Configure | Measure | TightenRun | Ping | Ready | Pong | Done | Fault


def pack(message: Message) -> bytes:
    """Turn a message into one frame.

    Args:
        message: What to say.

    Returns:
        Length and body.

    Raises:
        ProtocolError: The body is longer than `MAX_FRAME_BYTES`.
    """
    plain = {"version": PROTOCOL_VERSION, "kind": _kind(type(message)), **_body(message)}
    body = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
    return LENGTH.pack(check_length(len(body))) + body


def unpack(body: bytes | bytearray) -> Message:
    """Read the body of one frame.

    Args:
        body: JSON, without its length.

    Returns:
        The message that was packed.

    Raises:
        ProtocolError: It is not JSON, or of another version or kind, or a part is missing.
        IncompatibleRecord: A record in it cannot be read.
    """
    try:
        plain = json.loads(body)
    except ValueError as error:
        raise ProtocolError(f"a frame is not JSON: {error}") from error
    if not isinstance(plain, dict) or plain.get("version") != PROTOCOL_VERSION:
        version = plain.get("version") if isinstance(plain, dict) else None
        raise ProtocolError(f"a frame has version {version!r}, not {PROTOCOL_VERSION}")
    read = _READERS.get(str(plain.get("kind")))
    if read is None:
        raise ProtocolError(f"a frame has the unknown kind {plain.get('kind')!r}")
    try:
        return read(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"a {plain['kind']} frame cannot be read: {error!r}") from error


def check_length(length_bytes: int) -> int:
    """Return the length of a body if it is allowed.

    Raises:
        ProtocolError: It is longer than `MAX_FRAME_BYTES`.
    """
    if length_bytes > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {length_bytes} bytes is over {MAX_FRAME_BYTES}")
    return length_bytes


def _kind(message_type: type) -> str:
    return message_type.__name__.lower()


def _body(message: Message) -> dict[str, Any]:
    fields = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Places):
        return _plain_places(value)
    return encode(value) if type(value).__name__ in RECORDS else value


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Message]]] = {
    _kind(Configure): lambda p: Configure(places=_places(p["places"])),
    _kind(Measure): lambda p: Measure(request=decode(p["request"])),
    _kind(TightenRun): lambda p: TightenRun(
        request_id=str(p["request_id"]), max_steps=int(p["max_steps"])
    ),
    _kind(Ping): lambda p: Ping(number=int(p["number"])),
    _kind(Ready): lambda p: Ready(versions=dict(p["versions"])),
    _kind(Pong): lambda p: Pong(number=int(p["number"])),
    _kind(Done): lambda p: Done(request_id=str(p["request_id"]), result=decode(p["result"])),
    _kind(Fault): lambda p: Fault(
        request_id=str(p["request_id"]),
        problem=decode(p["problem"]),
        device_seconds=float(p["device_seconds"]),
    ),
}


def _plain_places(places: Places) -> dict[str, Any]:
    return {
        "artifacts": str(places.artifacts),
        "file_roots": [str(root) for root in places.file_roots],
        "code_root": None if places.code_root is None else str(places.code_root),
        "entrypoint_prefixes": list(places.entrypoint_prefixes),
    }


def _places(plain: Mapping[str, Any]) -> Places:
    code_root = plain["code_root"]
    return Places(
        artifacts=Path(plain["artifacts"]),
        file_roots=tuple(Path(root) for root in plain["file_roots"]),
        code_root=None if code_root is None else Path(code_root),
        entrypoint_prefixes=tuple(str(prefix) for prefix in plain["entrypoint_prefixes"]),
    )
