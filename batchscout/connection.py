"""Between calls and the network: what the sync and the async client share of it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from batchscout.calls import Call, Reply, Unreachable
from batchscout.errors import UnusableKey

DEFAULT_URL: Final = "http://127.0.0.1:8321"
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


def arguments_of(call: Call) -> dict[str, Any]:
    """Write a call as httpx wants it."""
    arguments: dict[str, Any] = {
        "method": call.method,
        "url": call.path,
        "params": call.query,
        "headers": call.headers,
        "timeout": httpx.Timeout(call.timeout_seconds, connect=CONNECT_SECONDS),
    }
    return arguments if call.body is None else arguments | {"json": call.body}


def reply_of(response: httpx.Response) -> Reply:
    """Describe a response whose body is read."""
    return replace(begun(response), content=response.content)


def begun(response: httpx.Response) -> Reply:
    """Describe a response whose body is still to come."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=headers, content=b"")


def unreachable(base_url: httpx.URL, error: httpx.TransportError) -> Unreachable:
    """Say why nothing came back, and from where."""
    # A user and a password may stand in the address: they are nobody's business.
    shown = base_url.copy_with(userinfo=b"")
    return Unreachable(
        reason=f"{shown} ({type(error).__name__}: {error})",
        sent=not isinstance(error, _NEVER_SENT),
    )


def bearer(key: str | None) -> dict[str, str]:
    """Write the header that carries a key, if there is one.

    Raises:
        UnusableKey: The key cannot be one.
    """
    found = (os.environ.get(KEY_VARIABLE, "") if key is None else key).strip()
    if not found:
        return {}
    if not found.isascii() or not found.isprintable() or " " in found:
        raise UnusableKey(f"the key, of {KEY_VARIABLE} or given, has characters that no key has")
    return {"Authorization": f"Bearer {found}"}
