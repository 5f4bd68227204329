"""The API under load: answers, new jobs, lists, and many who wait, on one process and SQLite.

    python benchmarks/api/bench.py [--only PART]... [--jobs 10000] [--seconds 20] [--rounds 4]

- `recommendation`: `GET .../recommendation` at 50 a second (asked: p50 <= 5 ms, p99 <= 25 ms);
- `create`: `POST /v1/tuning-jobs` with an `Idempotency-Key` at 20 a second (asked: p99 <= 50 ms);
- `list`: a first and a deep page of lists, with 100 and with 10,000 jobs stored, side by side
  (asked: flat);
- `waiting`: 200 long polls and 200 readers of events at once, beside a job that really trains
  (asked: none fails, the job loses less than 2 % of its speed);
- `zeus`: the batch-size server of Zeus on an empty database, in the same run, for comparison.

Load is open-loop: requests leave at fixed times, and a latency counts from when its request was
due. It comes from another process than the one that answers. `--only` measures one part anew
(`stored` is the first three) and leaves the others as they were; each part says how busy the
machine was, and at what priority it ran.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.api import waiting, zeus  # noqa: E402 - found beside this file's folder
from benchmarks.api.load import drive  # noqa: E402
from benchmarks.api.stored import fill  # noqa: E402
from benchmarks.api.wire import Request, Wire  # noqa: E402
from benchmarks.machine import machine_facts  # noqa: E402
from service.api.examples import DIGITS  # noqa: E402
from service.settings import Settings  # noqa: E402
from service.supervise import Supervisor  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "api.json"
READ_RATE = 50.0
CREATE_RATE = 20.0
FEW = 100
PAGE = 50
JOBS = "/v1/tuning-jobs"
LISTS = 60
ASKED = {
    "stored": {
        "recommendation": {"p50_seconds": 0.005, "p99_seconds": 0.025},
        "create": {"p99_seconds": 0.05},
        "list": "flat: a ratio of about 1",
    },
    "waiting": {"failed": 0, "job_speed_lost": 0.02},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A service with jobs in its store."""

    wire: Wire
    ids: Sequence[str]

    def recommendation(self, index: int) -> Request:
        """Ask for the answer of one job after another, in steps that hit every page of the file."""
        return Request(path=f"{JOBS}/{self.ids[index * 7919 % len(self.ids)]}/recommendation")

    async def deep(self) -> str:
        """The path of a page near the oldest job."""
        cursor, last = None, None
        while True:
            path = f"{JOBS}?limit={PAGE if len(self.ids) <= FEW else 1000}"
            page = (await self.wire.send(Request(path=path + _after(cursor)))).json()
            cursor = page["next_cursor"]
            if cursor is None:
                return f"{JOBS}?limit={PAGE}{_after(last)}"
            last = cursor


def _after(cursor: str | None) -> str:
    return f"&cursor={quote(cursor)}" if cursor else ""


def create(index: int) -> Request:
    """A job that nobody asked for before."""
    body = {**DIGITS, "hardware": {"accelerator": "auto"}, "seed": index}
    headers = {"Idempotency-Key": f"bench-{index}"}
    return Request(method="POST", path=JOBS, body=body, headers=headers)


async def lists(few: Stored, many: Stored) -> dict[str, Any]:
    """Median latency of lists in both stores, asked in turns."""
    found: dict[str, Any] = {}
    for kind in ("first", "deep"):
        paths = {}
        for name, stored in (("few", few), ("many", many)):
            paths[name] = f"{JOBS}?limit={PAGE}" if kind == "first" else await stored.deep()
        seconds: dict[str, list[float]] = {"few": [], "many": []}
        for _ in range(LISTS):
            for name, stored in (("few", few), ("many", many)):
                request = Request(path=paths[name])
                load = await drive(stored.wire, lambda _, r=request: r, rate=1000.0, count=1)
                seconds[name].append(load.seconds[0])
        medians = {name: statistics.median(some) for name, some in seconds.items()}
        found[kind] = {
            "jobs_100_p50_seconds": medians["few"],
            "jobs_10000_p50_seconds": medians["many"],
            "ratio": medians["many"] / medians["few"],
        }
    return found


async def ask(few: Stored, many: Stored, seconds: float) -> dict[str, Any]:
    """Everything that needs no job under way."""
    warm = int(READ_RATE)
    await drive(many.wire, many.recommendation, rate=READ_RATE, count=warm)
    reads = await drive(
        many.wire, many.recommendation, rate=READ_RATE, count=int(READ_RATE * seconds)
    )
    pages = await lists(few, many)
    creates = await drive(many.wire, create, rate=CREATE_RATE, count=int(CREATE_RATE * seconds))
    again = await drive(many.wire, create, rate=CREATE_RATE, count=int(CREATE_RATE * seconds))
    await few.wire.close()
    await many.wire.close()
    return {
        "recommendation": reads.summary(),
        "create": creates.summary(),
        "create_again_same_key": again.summary(),
        "list": pages,
    }


def measure_stored(folder: Path, jobs: int, seconds: float) -> dict[str, Any]:
    """Measure one API process on a full store, and one on a small store for the lists."""
    parts: list[Stored] = []
    services: list[Supervisor] = []
    try:
        for name, count in (("few", FEW), ("many", jobs)):
            settings = Settings(data_dir=folder / name, port=0, max_queued_jobs=100_000)
            ids = fill(settings, count)
            service = Supervisor(settings, only="api", log_file=folder / f"{name}.log")
            services.append(service)
            service.start()
            service.wait_ready()
            parts.append(Stored(wire=wire_to(service.url or ""), ids=ids))
        found = asyncio.run(ask(parts[0], parts[1], seconds))
    finally:
        for service in services:
            service.stop()
    file = folder / "many" / "batchscout.sqlite3"
    return {**found, "stored_jobs": jobs, "database_bytes": file.stat().st_size}


def wire_to(url: str) -> Wire:
    """Connect to an address."""
    address = urlsplit(url)
    return Wire(address.hostname or "", address.port or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", choices=("stored", "zeus", "waiting"), action="append")
    options = parser.parse_args()
    report = json.loads(RESULT.read_text()) if options.only and RESULT.exists() else {}
    report |= {
        "bench": "api",
        "command": "python benchmarks/api/bench.py",
        "machine": machine_facts(),
        "asked": ASKED,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "stored": lambda: measure_stored(folder / "stored", options.jobs, options.seconds),
            "zeus": lambda: zeus.compare(
                ROOT / "build" / "zeus",
                folder / "zeus",
                create_rate=CREATE_RATE,
                read_rate=READ_RATE,
                count=int(CREATE_RATE * options.seconds),
            ),
            "waiting": lambda: waiting.measure(folder / "waiting", options.rounds),
        }
        for part, run in parts.items():
            if options.only is None or part in options.only:
                report[part] = _beside(run)
    RESULT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def _beside(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measure one part, and what else the machine had to do."""
    before = os.getloadavg()[0]
    found = run()
    conditions = {
        "load_before": round(before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "niceness": os.nice(0),
    }
    return {**found, "conditions": conditions}


if __name__ == "__main__":
    main()
