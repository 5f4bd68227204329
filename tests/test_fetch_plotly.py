"""What draws the figures is fetched as the lock names it, or not at all."""

import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "fetch-plotly"


def archive() -> bytes:
    """An archive with the right names, and other contents."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as writer:
        for name in ("package/plotly-cartesian.min.js", "package/LICENSE"):
            member = tarfile.TarInfo(name)
            member.size = 5
            writer.addfile(member, io.BytesIO(b"other"))
    return held.getvalue()


class Registry(BaseHTTPRequestHandler):
    """Hands out the same archive for whatever is asked."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(archive())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    """The address of a registry that does not hold what the lock names."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    """Run the script against a registry."""
    environment = os.environ | {"NPM_CONFIG_REGISTRY": address, "no_proxy": "127.0.0.1"}
    command = [sys.executable, str(SCRIPT), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_another_archive_is_refused(registry: str, tmp_path: Path) -> None:
    """What has not the digest of the lock is not written."""
    run = fetch(tmp_path, registry)
    assert (run.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "is not the one of the lock" in run.stderr
    assert Registry.asked[-1].endswith("plotly.js-cartesian-dist-min-4.1.1.tgz")


def test_an_unreachable_registry_is_said(registry: str, tmp_path: Path) -> None:
    """One sentence, no traceback, and a code that an installation can ignore."""
    closed = f"{registry.rpartition(':')[0]}:1/"
    run = fetch(tmp_path, closed)
    assert (run.returncode, list(tmp_path.iterdir())) == (1, [])
    assert run.stderr.startswith("plotly.js-cartesian-dist-min cannot be fetched")
    assert "Traceback" not in run.stderr
