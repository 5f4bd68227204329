"""Server-Sent Events as they come off a connection (WHATWG HTML, section 9.2).

Bytes go in, in pieces of any size, messages come out. There is no input or output here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_BREAK: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message.

    Args:
        event: Its type.
        data: Its lines, joined.
    """

    event: str
    data: str


class Decoder:
    """Reads one connection.

    Args:
        last_event_id: What was seen last on the connection before.

    Attributes:
        last_event_id: Id of the last message that arrived as a whole; empty for none.
        retry_seconds: How long the server wants to be left alone once the connection breaks.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_seconds: float | None = None
        self._id = last_event_id
        self._event = ""
        self._data: list[str] = []
        self._rest = b""
        self._after_return = False
        self._is_first = True

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Read on.

        Args:
            chunk: What has arrived.

        Yields:
            The messages that it completes.
        """
        for line in self._lines(chunk):
            if line:
                self._take(line)
                continue
            message = Message(event=self._event or "message", data="\n".join(self._data))
            is_message = bool(self._data)
            self.last_event_id, self._event, self._data = self._id, "", []
            if is_message:
                yield message

    def _lines(self, chunk: bytes) -> Iterator[str]:
        # A line may end with two characters, and the connection may part them.
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_return = False
        if not chunk:
            return
        self._after_return = chunk.endswith(b"\r")
        *lines, self._rest = _BREAK.split(self._rest + chunk)
        for line in lines:
            text = line.decode(errors="replace")
            yield text.removeprefix(_BOM) if self._is_first else text
            self._is_first = False

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdecimal():
                self.retry_seconds = int(value) / 1000.0
            case _:  # a comment, or a field that nobody knows yet
                pass
