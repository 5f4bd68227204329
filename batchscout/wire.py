"""Between an exchange and httpx: calls as requests, responses as replies, the key as a header."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from batchscout.calls import Call, Reply, Unreachable
from batchscout.errors import UnusableKey

KEY_VARIABLE: Final = "BATCHSCOUT_KEY"
"""Where a key is read from: an environment is not shown in a list of processes."""
CONNECT_SECONDS: Final = 10.0

_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


def is_remote(url: str) -> bool:
    """Whether proxies of the environment apply: never to this machine's own service."""
    return urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}


def arguments(call: Call) -> dict[str, Any]:
    """Lay a call out as the arguments of a request."""
    named: dict[str, Any] = {
        "method": call.method,
        "url": call.path,
        "params": call.query,
        "headers": call.headers,
        "timeout": httpx.Timeout(call.timeout_seconds, connect=CONNECT_SECONDS),
    }
    return named if call.body is None else named | {"json": call.body}


def reply(response: httpx.Response) -> Reply:
    """Describe a response whose body has been read."""
    return replace(begun(response), content=response.content)


def begun(response: httpx.Response) -> Reply:
    """Describe a response whose body is still to come."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=headers, content=b"")


def unreachable(base_url: httpx.URL, error: httpx.TransportError) -> Unreachable:
    """Say that nothing came back, and whether the request may have arrived."""
    # A user and a password may stand in the address: they are nobody's business.
    shown = base_url.copy_with(userinfo=b"")
    return Unreachable(
        reason=f"{shown} ({type(error).__name__}: {error})",
        sent=not isinstance(error, _NEVER_SENT),
    )


def bearer(key: str | None) -> dict[str, str]:
    """Write the header that carries a key, given or of the environment; none without one.

    Raises:
        UnusableKey: It has characters that no key has.
    """
    found = (os.environ.get(KEY_VARIABLE, "") if key is None else key).strip()
    if not found:
        return {}
    if not found.isascii() or not found.isprintable() or " " in found:
        raise UnusableKey(f"the key, of {KEY_VARIABLE} or given, has characters that no key has")
    return {"Authorization": f"Bearer {found}"}
