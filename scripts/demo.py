"""Start a service of our own, tune one spec over HTTP, print the answer, stop the service.

It shows what a user would do in two terminals, and leaves nothing behind: the port is a free
one, the data lie in a temporary folder, and the service ends however this program ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 120.0
STOP_SECONDS = 20.0
REPOSITORY = Path(__file__).resolve().parent.parent


def main(spec: str) -> int:
    """Run the demo.

    Args:
        spec: Path of the spec to tune.

    Returns:
        The exit code of `batchscout tune`.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="batchscout-demo-") as folder:
            port = free_port()
            with service(port, Path(folder)):
                return tune(spec, f"http://127.0.0.1:{port}")
    except KeyboardInterrupt:
        return 3


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def service(port: int, folder: Path) -> Iterator[None]:
    """Run `batchscout serve` and wait until it is ready; stop it at the end.

    Args:
        port: A free one.
        folder: For its data and its log.

    Raises:
        SystemExit: It ended, or was not ready in time; the end of its log is shown.
    """
    command = [program(), "serve", "--port", str(port), "--data-dir", str(folder / "data")]
    command += ["--file-root", str(REPOSITORY / "examples")]
    print("$", "batchscout", *command[1:], flush=True)
    log = folder / "serve.log"
    with log.open("wb") as sink:
        # In a session of its own: an interrupt from the terminal is for the command that
        # asks, which still needs the service to cancel its job.
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}/readyz", log)
        yield
    finally:
        stop(process)


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until the service answers.

    Raises:
        SystemExit: It ended, or did not answer in time.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    give_up_at = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            with opener.open(url, timeout=2.0):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-4000:]
    sys.exit(f"The service did not become ready. The end of its log:\n{tail}")


def tune(spec: str, url: str) -> int:
    """Ask the service, with the command that a user would type; hand interrupts on to it."""
    command = [program(), "tune", spec, "--server", url]
    print("$", "batchscout", *command[1:], flush=True)
    process = subprocess.Popen(command, start_new_session=True)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the service, politely first, and all that it started."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def program() -> str:
    """Path of the `batchscout` that belongs to this Python."""
    return str(Path(sys.executable).parent / "batchscout")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
