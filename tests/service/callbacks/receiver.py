"""A receiver of callbacks on 127.0.0.1 that answers as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request that has come."""

    path: str
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[BaseHTTPRequestHandler], None]


class Receiver:
    """Collects requests and answers them."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.requests: list[Received] = []
        self.answer: Answer = status(204)
        self.port: int = server.server_address[1]

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """An address of this receiver."""
        return f"http://{host}:{self.port}{path}"


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    """An answer of one status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Receive for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.requests.append(Received(path=self.path, headers=headers, body=body))
            found.answer(self)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = Receiver(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
