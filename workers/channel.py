"""A socket that carries whole messages."""

from __future__ import annotations

import select
import socket
import threading
from typing import Final

from workers.messages import LENGTH, Message, check_length, pack, unpack

SEND_SECONDS: Final = 10.0
"""How long a reader may leave a frame lying before it counts as stuck."""

CHUNK_BYTES: Final = 2**16
"""Bytes read at once."""


class ChannelClosed(Exception):
    """The other end is gone, or has stopped reading."""


class Channel:
    """One end of a connected pair of sockets.

    Any thread may send; one thread receives.

    Args:
        connected: The socket; the channel owns it from now on.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.settimeout(SEND_SECONDS)
        self._sending = threading.Lock()
        self._unread = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for `select.poll`."""
        return self._socket.fileno()

    def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            ChannelClosed: The other end is gone, or has not read for `SEND_SECONDS`.
            ProtocolError: The message is too long; nothing was sent.
        """
        frame = pack(message)
        try:
            with self._sending:
                self._socket.sendall(frame)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self, timeout_seconds: float | None = None) -> Message | None:
        """Return the next message.

        Args:
            timeout_seconds: How long to wait for bytes; None waits for ever.

        Returns:
            The message, or None if no whole one came in time.

        Raises:
            ChannelClosed: The other end is gone.
            ProtocolError: What came is not a message.
        """
        while (message := self._take()) is None:
            if not readable(self._socket, timeout_seconds=timeout_seconds):
                return None
            self._fill()
        return message

    def close(self) -> None:
        """Close this end; the other one then sees the end."""
        self._socket.close()

    def _fill(self) -> None:
        try:
            some = self._socket.recv(CHUNK_BYTES)
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not some:
            raise ChannelClosed("the other end has closed")
        self._unread += some

    def _take(self) -> Message | None:
        if len(self._unread) < LENGTH.size:
            return None
        end = LENGTH.size + check_length(LENGTH.unpack_from(self._unread)[0])
        if len(self._unread) < end:
            return None
        body = self._unread[LENGTH.size : end]
        del self._unread[:end]
        return unpack(body)


def readable(*sources: socket.socket | Channel, timeout_seconds: float | None) -> bool:
    """Wait until one of some sources can be read, or has ended.

    Args:
        sources: Sockets or channels. `poll` serves descriptors of any height.
        timeout_seconds: None waits for ever.

    Returns:
        Whether one can be read.
    """
    poller = select.poll()
    for source in sources:
        poller.register(source.fileno(), select.POLLIN)
    return bool(poller.poll(None if timeout_seconds is None else max(timeout_seconds, 0.0) * 1000))
