"""Connections of callbacks: only to addresses that were checked, and with one end for all.

The HTTP library asks this backend for every connection that it makes, so that none can be made
past the check. TLS and the header `Host` go on to use the name of the URL.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import httpcore

from service.callbacks.address import Network, Resolve, checked_addresses, look_up

MAX_ADDRESSES: Final = 3
"""Addresses of one name that are tried."""


class TlsFailed(Exception):
    """The host speaks no TLS, or its certificate is not accepted."""


class Deadline:
    """A moment until which everything has to be done, however it is cut into pieces.

    Args:
        seconds: From now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left_seconds(self) -> float:
        """The time that is left.

        Raises:
            TimeoutError: There is none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is over")
        return left


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses alone.

    Args:
        deadline: For all that is done over its connections.
        allowed: Networks that the operator allows in addition.
        resolve: Looks names up.
    """

    def __init__(
        self, *, deadline: Deadline, allowed: Sequence[Network], resolve: Resolve = look_up
    ) -> None:
        self._deadline = deadline
        self._allowed = allowed
        self._resolve = resolve
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Look a name up once, check it, and connect to one of the checked addresses.

        Raises:
            Refused: It leads to where no callback may go.
            OSError: It is unknown.
            httpcore.ConnectError: Nobody listens there.
        """
        del timeout, local_address
        found = checked_addresses(host, port, allowed=self._allowed, resolve=self._resolve)
        failure: Exception = httpcore.ConnectError("no address")
        for address in found[:MAX_ADDRESSES]:
            try:
                stream = self._plain.connect_tcp(
                    str(address),
                    port,
                    timeout=self._deadline.left_seconds(),
                    socket_options=socket_options or [],
                )
            except httpcore.ConnectError as error:
                failure = error
                continue
            return _Stream(stream, self._deadline)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends with the deadline.

    The library's own limits hold for one read or write each: a receiver that sends a byte now
    and then would hold a thread for days.
    """

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._inner.read(max_bytes, self._deadline.left_seconds())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._inner.write(buffer, self._deadline.left_seconds())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        left = self._deadline.left_seconds()
        try:
            inner = self._inner.start_tls(ssl_context, server_hostname, left)
        except httpcore.ConnectError as error:
            raise TlsFailed("no TLS, or a certificate that is not accepted") from error
        return _Stream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
