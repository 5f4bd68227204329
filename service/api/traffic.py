"""Requests counted and timed, by the template of their address and never by the address."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_ROUTE: Final = "unmatched"
"""Label of requests for what there is not: their addresses are anybody's choice."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_SERVER_ERROR: Final = 500


class Traffic:
    """The counters of one application."""

    def __init__(self) -> None:
        # Moments of creation would be half of all series, and nobody draws them.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's only untyped one
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "batchscout_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.durations = Histogram(
            "batchscout_http_request_duration_seconds",
            "Time to the end of the answer; requests that wait on purpose are left out.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )


class Counted:
    """Counts and times requests on their way through.

    A request counts once its answer begins, so that open streams are counted too. Long polls
    and streams are not timed: how long they take says nothing about the service.

    Args:
        app: What answers.
        traffic: The counters.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, begun, waits = time.perf_counter(), False, _waits(scope)

        async def noting(message: Message) -> None:
            nonlocal begun, waits
            if message["type"] == "http.response.start" and not begun:
                begun, waits = True, waits or _streams(message)
                self._count(scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            if not begun:
                # Outside of this, a handler of last resort makes a response of it.
                begun = True
                self._count(scope, _SERVER_ERROR)
            raise
        finally:
            if begun and not waits:
                seconds = time.perf_counter() - started
                self._traffic.durations.labels(_method(scope), _route(scope)).observe(seconds)

    def _count(self, scope: Scope, status: int) -> None:
        self._traffic.requests.labels(_method(scope), _route(scope), str(status)).inc()


def install(app: FastAPI) -> None:
    """Have an application count its requests; its state carries the counters."""
    app.state.traffic = traffic = Traffic()
    app.add_middleware(Counted, traffic=traffic)


def _method(scope: Mapping[str, Any]) -> str:
    method = str(scope["method"])
    return method if method in _METHODS else "other"


def _route(scope: Mapping[str, Any]) -> str:
    return str(getattr(scope.get("route"), "path", NO_ROUTE))


def _waits(scope: Mapping[str, Any]) -> bool:
    """Whether a request asks to be answered late."""
    # As text, since the parser of bytes fails where an escape is no ASCII.
    query = scope.get("query_string", b"").decode("latin-1")
    found = parse_qs(query).get("wait", ["0"])
    return bool(found[-1].strip("0.+"))


def _streams(message: Mapping[str, Any]) -> bool:
    headers = dict(message.get("headers", ()))
    return bool(headers.get(b"content-type", b"").startswith(b"text/event-stream"))
