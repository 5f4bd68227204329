"""A service on 127.0.0.1 that plays a script of job states, for the tests of commands."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.batchscout.documents import PROBLEM, job


class FakeService:
    """Answers as the service does, from a list of job documents.

    Args:
        states: What the job becomes, one after another; the last one stays.
        accepts: Whether a request is queued or refused.
    """

    def __init__(self, states: list[dict[str, Any]], *, accepts: bool = True) -> None:
        self.states = states
        self.accepts = accepts
        self.revision = 0
        self.cancels = 0
        self.specs: list[Any] = []
        self.paths: list[str] = []
        self.findings: dict[str, Any] = {}
        self.keys: list[str | None] = []

    def create(self, spec: Any) -> tuple[int, dict[str, Any]]:
        """Queue a job, or refuse the request."""
        self.specs.append(spec)
        return (202, self.now()) if self.accepts else (422, PROBLEM)

    def now(self) -> dict[str, Any]:
        """The job as it is."""
        return self.states[min(self.revision, len(self.states) - 1)] | {"revision": self.revision}

    def look(self, known: str | None) -> tuple[int, dict[str, Any]]:
        """Go one state further if the present one is known already."""
        if known == f'"{self.revision}"':
            if self.revision + 1 >= len(self.states):
                time.sleep(0.02)
                return 304, {}
            self.revision += 1
        return 200, self.now()

    def cancel(self) -> tuple[int, dict[str, Any]]:
        """Cancel the job."""
        self.cancels += 1
        self.states = [*self.states[: self.revision + 1], job("cancelling"), job("cancelled")]
        self.revision += 1
        return 202, self.now()


@contextmanager
def serving(service: FakeService) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1.

    Yields:
        The address.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.paths.append(self.path)
            service.keys.append(self.headers.get("Idempotency-Key"))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            cancels = self.path.endswith("/cancel")
            self._reply(*(service.cancel() if cancels else service.create(json.loads(body))))

        def do_GET(self) -> None:
            if self.path.endswith("/findings"):
                return self._reply(200, service.findings)
            return self._reply(*service.look(self.headers.get("If-None-Match")))

        def _reply(self, status: int, document: dict[str, Any]) -> None:
            content = b"" if status == 304 else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("ETag", f'"{service.revision}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
