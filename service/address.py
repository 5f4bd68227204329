"""Where the service listens: the socket is opened before any process is started.

So a port that is taken is told at once, the port 0 becomes a number that stays, and an API
process that is replaced goes on with the same socket: clients wait instead of being refused.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Final

BACKLOG: Final = 512
"""Connections that wait while the API process is being replaced."""


class CannotServe(Exception):
    """The service cannot start; the message says why and what to change."""


def open_listener(host: str, port: int) -> socket.socket:
    """Open the socket.

    Args:
        host: Name or address.
        port: 0 picks a free one.

    Returns:
        A socket that listens.

    Raises:
        CannotServe: The port is taken, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotServe(f"There is no address {host}: {error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotServe(
            f"Port {port} of {host} cannot be used ({error.strerror}): choose another one with "
            "--port, or 0 for any that is free."
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL under which this machine reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")  # noqa: PLR2004
    shown = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    return f"http://{shown}:{port}"


def publish(file: Path, url: str) -> None:
    """Write the URL where others can find it, all of it at once."""
    draft = file.with_name(file.name + ".new")
    draft.write_text(url + "\n", encoding="ascii")
    draft.replace(file)
