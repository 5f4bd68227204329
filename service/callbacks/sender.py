"""One try at a callback: what came of it, in a number and a sentence, never in an exception."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpcore
import httpx

from service.callbacks.address import Network, Refused, Resolve, look_up
from service.callbacks.connection import Deadline, GuardedBackend, TlsFailed
from service.callbacks.destination import Destination, read_destination
from service.callbacks.signature import signed_headers

SEND_SECONDS: Final = 10.0
"""What one try may take, from the connection to the end of the answer."""

MAX_ANSWER_BYTES: Final = 1024
"""What is read of an answer's body. Nothing is done with it."""

USER_AGENT: Final = "batchscout-callback"

_SENTENCES: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    ((socket.gaierror, UnicodeError), "The name of the host is not known."),
    ((TlsFailed,), "The certificate of the host is not accepted, or it speaks no TLS."),
    ((httpcore.ConnectError,), "No connection could be made."),
    (
        (httpcore.NetworkError, httpcore.ProtocolError, OSError),
        "The connection broke, or what came was no HTTP.",
    ),
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one try.

    Args:
        status: HTTP status of the answer; None where there was none.
        error: Why the message has not arrived; None if it has.
    """

    status: int | None
    error: str | None

    @property
    def delivered(self) -> bool:
        """Whether the message has arrived."""
        return self.error is None

    @property
    def unwanted(self) -> bool:
        """Whether the receiver wants no more of it."""
        return self.status == httpx.codes.GONE


class Sender:
    """Sends messages to where they may go.

    Args:
        allowed: Networks that the operator allows in addition to public addresses.
        limit_seconds: For one try.
        resolve: Looks names up.
        tls: Whom to believe; None for the certificates that browsers know.
        clock: Seconds since 1970, for the header `webhook-timestamp`.
    """

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        limit_seconds: float = SEND_SECONDS,
        resolve: Resolve = look_up,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._allowed = allowed
        self._limit_seconds = limit_seconds
        self._resolve = resolve
        self._tls = tls or httpx.create_ssl_context()
        self._clock = clock

    def send(self, *, url: str, message_id: str, body: bytes, secret: str) -> Tried:
        """Send a message once.

        Args:
            url: Whom to tell.
            message_id: The same on every try.
            body: The message.
            secret: Signs it.

        Returns:
            What came of it. Its sentence names no address, no query and no secret.
        """
        deadline = Deadline(self._limit_seconds)
        try:
            destination = read_destination(url, allowed=self._allowed)
            headers = signed_headers(
                secret, message_id=message_id, timestamp=int(self._clock()), body=body
            )
            status = self._post(destination, headers, body, deadline)
        except Exception as error:  # noqa: BLE001 - whatever a receiver does, the others go on
            return Tried(status=None, error=self._sentence(error))
        return Tried(status=status, error=_complaint(status))

    def _post(
        self,
        destination: Destination,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        deadline: Deadline,
    ) -> int:
        backend = GuardedBackend(deadline=deadline, allowed=self._allowed, resolve=self._resolve)
        url = httpcore.URL(
            scheme=destination.scheme.encode(),
            host=destination.host.encode(),
            port=destination.port,
            target=destination.target.encode(),
        )
        every = [
            ("host", destination.authority),
            ("content-type", "application/json"),
            ("user-agent", USER_AGENT),
            ("connection", "close"),
            *headers,
        ]
        # A pool for one request: nothing of one receiver is left for the next one, and neither
        # a proxy of the environment nor a redirect leads elsewhere.
        with (
            httpcore.ConnectionPool(network_backend=backend, ssl_context=self._tls) as pool,
            pool.stream("POST", url, headers=every, content=body) as response,
        ):
            _read_some(response)
            return int(response.status)

    def _sentence(self, error: Exception) -> str:
        if isinstance(error, Refused):
            return str(error)
        if isinstance(error, (TimeoutError, httpcore.TimeoutException)):
            return f"There was no answer within {self._limit_seconds:g} s."
        for kinds, sentence in _SENTENCES:
            if isinstance(error, kinds):
                return sentence
        # Of an error that nobody has thought of the kind alone: its text may hold the URL.
        _log.error("a callback could not be sent: %s", type(error).__name__)
        return "The callback could not be sent."


def _read_some(response: httpcore.Response) -> None:
    """Read a little of the body: closing at once would break the receiver's connection."""
    found = 0
    try:
        for chunk in response.iter_stream():
            found += len(chunk)
            if found >= MAX_ANSWER_BYTES:
                return
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError):
        # The status has come, and it decides.
        return


def _complaint(status: int) -> str | None:
    """Why an answer does not count as delivered; None if it does."""
    if httpx.codes.is_success(status):
        return None
    if httpx.codes.is_redirect(status):
        return f"It was answered with {status}; redirects are not followed."
    if status == httpx.codes.GONE:
        return "It was answered with 410: the receiver wants no more of it."
    return f"It was answered with {status}."
