"""The URL of a callback, taken apart once and strictly."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from service.callbacks.address import Address, Network, Refused, check

LONGEST_URL: Final = 2048
"""Characters that a URL may have."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

FIRST_FREE_PORT: Final = 8000
"""Beside 80 and 443, ports from here on: below lie mail, databases and remote control."""

_PLAIN: Final = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # no blank, no control, no backslash
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_NUMERIC: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Whereto a message goes.

    Args:
        scheme: `http` or `https`.
        host: Name or literal address, in lower case and without brackets.
        port: Where it listens.
        target: Path and query. It may hold a secret of its receiver, so it is not shown.
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @property
    def authority(self) -> str:
        """Value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def read_destination(url: str, *, allowed: Sequence[Network] = ()) -> Destination:
    """Take a URL apart, and refuse what no callback may go to. Nothing is looked up.

    Args:
        url: As given with the job.
        allowed: Networks that the operator allows in addition.

    Returns:
        Its parts.

    Raises:
        Refused: Scheme, user, host, port or literal address are not accepted.
    """
    if len(url) > LONGEST_URL or not _PLAIN.fullmatch(url):
        raise Refused(
            f"A callback's URL has {LONGEST_URL} printable ASCII characters at most, and no blanks."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Refused("The callback's URL cannot be read.") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise Refused("A callback's URL begins with https:// or http://.")
    if "@" in parts.netloc:
        raise Refused("A callback's URL holds no user and no password.")
    if parts.fragment:
        raise Refused("A callback's URL has no fragment: it would never be sent.")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    if port not in DEFAULT_PORTS.values() and port < FIRST_FREE_PORT:
        raise Refused(f"A callback goes to port 80, 443, or one from {FIRST_FREE_PORT} on.")
    if "[" in parts.netloc and ":" not in host:
        raise Refused("Brackets are for IPv6 addresses.")
    _check_host(host, allowed)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(scheme=parts.scheme, host=host, port=port, target=target)


def shown_url(url: str) -> str:
    """The URL without its query, which may hold a secret of the receiver."""
    return url.partition("?")[0]


def _check_host(host: str, allowed: Sequence[Network]) -> None:
    literal = _literal(host)
    if literal is not None:
        check(literal, allowed)
    elif not _NAME.fullmatch(host.removesuffix(".")):
        raise Refused("The callback's host is no name: write names in other scripts as punycode.")


def _literal(host: str) -> Address | None:
    """The address that a host is without being looked up, in every way of writing one."""
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return ipaddress.IPv4Address("127.0.0.1")
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        pass
    if not _NUMERIC.fullmatch(name):
        return None
    try:
        # Resolvers also take 127.1, 0x7f.0.0.1 and 2130706433 for addresses.
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except OSError as error:
        raise Refused("The callback's host is no address.") from error
