"""The batch-size server of Zeus (zeus-ml), really run, in an environment of its own.

Zeus tunes across recurring trainings, so its requests are others: a job is registered, asked
for its next batch size, and told what a training at that size came to. Its server is the
closest relative that there is, so what its requests take stands beside what ours do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.api.load import Load, drive
from benchmarks.api.wire import Request, Wire

REQUIREMENT = "zeus-ml[bso,bso-server,migration]==0.11.0.post1"
BESIDES = ("sqlalchemy[asyncio]", "aiosqlite")
"""What it needs with SQLite and does not ask for itself."""

SERVER = "zeus.optimizer.batch_size.server"
TABLES = f"""
import os, sqlalchemy
from {SERVER}.database.schema import Base
Base.metadata.create_all(sqlalchemy.create_engine(os.environ["ZEUS_BSO_DATABASE_URL"].replace(
    "+aiosqlite", "")))
"""
START_SECONDS = 60.0


class Unavailable(Exception):
    """It cannot be installed or started, and why."""


def install(folder: Path) -> Path:
    """Make its environment, unless it is there.

    Args:
        folder: Where.

    Returns:
        The interpreter.

    Raises:
        Unavailable: pip could not; the message is its own.
    """
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", REQUIREMENT, *BESIDES],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"pip: {done.stderr.strip().splitlines()[-1]}")
    return python


@contextlib.contextmanager
def serving(python: Path, folder: Path) -> Iterator[int]:
    """Run the server on an empty SQLite database for as long as the block lasts.

    Yields:
        Its port.

    Raises:
        Unavailable: It does not start; the message is the end of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite+aiosqlite:///{folder / 'zeus.sqlite3'}"
    environment = {**os.environ, "ZEUS_BSO_DATABASE_URL": url, "ZEUS_BSO_LOG_LEVEL": "ERROR"}
    log = folder / "zeus.log"
    with log.open("wb") as out:
        made = subprocess.run(
            [python, "-c", TABLES], env=environment, cwd=folder, stderr=out, stdout=out, check=False
        )
        if made.returncode:
            raise Unavailable(_last_line(log))
        options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
        server = subprocess.Popen(
            [python, "-m", "uvicorn", f"{SERVER}.router:app", *options],
            env=environment,
            cwd=folder,
            stdout=out,
            stderr=out,
        )
        try:
            _wait(server, port, log)
            yield port
        finally:
            server.terminate()
            server.wait()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise Unavailable(_last_line(log))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing"


async def measure(port: int, *, create_rate: float, read_rate: float, count: int) -> dict[str, Any]:
    """Register jobs, ask for a batch size of each, and report a result for each.

    Args:
        port: Of the server.
        create_rate: Jobs registered a second.
        read_rate: Predictions, and reports, a second.
        count: Jobs.

    Returns:
        A summary for each kind of request.
    """
    wire = Wire("127.0.0.1", port)
    loads: dict[str, Load] = {}
    loads["register"] = await drive(wire, _register, rate=create_rate, count=count)
    loads["predict"] = await drive(wire, _predict, rate=read_rate, count=count)
    loads["report"] = await drive(wire, _report, rate=read_rate, count=count)
    await wire.close()
    return {name: load.summary() for name, load in loads.items()}


def _name(index: int) -> str:
    return f"bench-{index}"


def _register(index: int) -> Request:
    body = {
        "job_id": _name(index),
        "job_id_prefix": "bench",
        "batch_sizes": [16, 32, 64, 128],
        "default_batch_size": 64,
        "target_metric": 0.9,
        "max_epochs": 100,
        "max_power": 300.0,
        "number_of_gpus": 1,
        "gpu_model": "A100",
    }
    return Request(method="POST", path="/jobs", body=body)


def _predict(index: int) -> Request:
    return Request(path=f"/jobs/batch_size?job_id={_name(index)}")


def _report(index: int) -> Request:
    body = {
        "job_id": _name(index),
        "batch_size": 64,
        "trial_number": 1,
        "time": 14.0,
        "energy": 3000.0,
        "metric": 0.95,
        "current_epoch": 10,
    }
    return Request(method="POST", path="/report", body=body)


def compare(
    folder: Path, data: Path, *, create_rate: float, read_rate: float, count: int
) -> dict[str, Any]:
    """Install, start and measure it; say why where that is impossible.

    Args:
        folder: Of its environment.
        data: Of its database; empty.
        create_rate: Jobs registered a second.
        read_rate: Predictions, and reports, a second.
        count: Jobs.

    Returns:
        A summary for each kind of request, or `unavailable` with the reason.
    """
    try:
        with serving(install(folder), data) as port:
            return asyncio.run(
                measure(port, create_rate=create_rate, read_rate=read_rate, count=count)
            )
    except Unavailable as error:
        return {"unavailable": str(error)}
