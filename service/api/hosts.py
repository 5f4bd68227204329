"""Answer only requests that mean this machine.

A page in a browser can make its own name resolve to 127.0.0.1 and then talk to whatever
listens there. Its requests still carry that page's name in `Host`, so they are told apart.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.failures import respond
from service.problems import make_problem
from service.settings import Settings

_NAMES: Final = frozenset({"localhost", ""})


class LocalHosts:
    """Refuses requests for other hosts.

    Args:
        app: What answers the rest.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if not means_this_machine(host):
                detail = f"This service answers for 127.0.0.1 and localhost, not for {host!r}."
                problem = make_problem("unknown_host", detail, instance=scope["path"])
                await respond(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def means_this_machine(host: str) -> bool:
    """Whether a `Host` header names the loopback interface.

    Args:
        host: With or without a port; IPv6 addresses in brackets.

    Returns:
        True for `localhost` and for loopback addresses.
    """
    name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() in _NAMES


def install(app: FastAPI, settings: Settings) -> None:
    """Guard an application that only this machine is meant to reach."""
    if settings.is_loopback and not settings.trust_network:
        app.add_middleware(LocalHosts)
