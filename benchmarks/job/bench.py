"""One whole job over HTTP: how long, how idle the device, how true the calibration, how large.

    python benchmarks/job/bench.py [--runs 3]

Starts a service as a user would, tunes `examples/digits-cnn.json` several times and reports

- wall seconds from request to answer (asked: under 240, installation aside);
- the share of the warm part of the job (from the end of timing on) in which the device had
  nothing to do (asked: under 5 %);
- wall seconds of the confirming runs over their calibrated seconds (asked: within 5 %);
- resident memory of the API process after the jobs (asked: under 150 MB);
- seconds from a cancel request to a free device (asked: at most 2).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from batchscout.client import Client  # noqa: E402
from benchmarks.machine import machine_facts  # noqa: E402
from service.settings import Settings  # noqa: E402
from service.store.tables import Attempt, Job, ResultRow  # noqa: E402
from service.supervise import Embedded  # noqa: E402

SPEC = json.loads((ROOT / "examples" / "digits-cnn.json").read_text())
RESULT = ROOT / "benchmarks" / "results" / "job.json"


def idle_share(database: Path, job_id: str) -> float:
    """Share of the time from the end of timing to the last result that no result accounts for."""
    engine = create_engine(f"sqlite:///{database}")
    with Session(engine) as session:
        number = session.scalars(select(Job.number).where(Job.id == job_id)).one()
        attempts = session.scalars(select(Attempt).where(Attempt.job_number == number)).all()
        payloads = session.scalars(select(ResultRow).where(ResultRow.job_number == number)).all()
        busy = {row.request_id: row.payload["device_seconds"] for row in payloads}
        timings = [one for one in attempts if one.request_id.startswith("timing-")]
        timing = max(timings, key=lambda one: one.ended_at)
        # The memory of the winner is measured in a fresh child, which is started for it alone.
        warm = [
            one
            for one in attempts
            if one.started_at >= timing.ended_at and not one.request_id.endswith("memory")
        ]
        last = max(one.ended_at for one in warm)
        whole = (last - timing.ended_at).total_seconds()
        share = 1.0 - sum(busy[one.request_id] for one in warm) / whole
    engine.dispose()
    return share


def cancel_seconds(service: Client) -> float:
    """Cancel a job in mid-race; return the seconds until its device is free."""
    job = service.create(SPEC | {"seed": 999})
    while service.job(job.id).document["stage"] != "race":
        time.sleep(0.02)
    began = time.perf_counter()
    service.cancel(job.id)
    while service.job(job.id).state != "cancelled":
        time.sleep(0.005)
    return time.perf_counter() - began


def measure(runs: int) -> dict[str, Any]:
    """Run the jobs one after the other on one service."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), port=0)
        log = Path(folder) / "log"
        with Embedded(settings, log_file=log) as embedded, Client(embedded.url) as service:
            rows = [one_job(service, Path(folder), seed) for seed in range(runs)]
            cancels = [cancel_seconds(service) for _ in range(runs)]
            api = psutil.Process(embedded.pids["api"])
            resident = api.memory_info().rss
    return {
        "jobs": rows,
        "wall_seconds_median": statistics.median(row["wall_seconds"] for row in rows),
        "device_idle_share_median": statistics.median(row["device_idle_share"] for row in rows),
        "wall_to_calibrated_median": statistics.median(row["wall_to_calibrated"] for row in rows),
        "cancel_seconds_max": max(cancels),
        "api_resident_bytes": resident,
    }


def one_job(service: Client, folder: Path, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    job = service.wait(service.create(SPEC | {"seed": seed}).id)
    wall_seconds = time.perf_counter() - began
    answer = job.require_answer()
    return {
        "seed": seed,
        "wall_seconds": round(wall_seconds, 2),
        "device_seconds": round(answer.spending.device_seconds, 2),
        "device_idle_share": round(idle_share(database_of(folder), job.id), 4),
        "wall_to_calibrated": answer.wall_to_calibrated,
        "global_batch_size": answer.global_batch_size,
        "learning_rate": answer.learning_rate,
        "steps_to_target": answer.steps_to_target,
        "runs_reached": f"{answer.runs_reached} of {answer.runs}",
        "warnings": [one.code for one in answer.warnings],
    }


def database_of(folder: Path) -> Path:
    """Find the one database of a data folder."""
    return next(path for path in folder.rglob("*") if path.suffix in {".db", ".sqlite", ".sqlite3"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    report = {
        "bench": "job",
        "command": "python benchmarks/job/bench.py",
        "machine": machine_facts(),
        **measure(parser.parse_args().runs),
        "asked": {
            "wall_seconds": 240,
            "device_idle_share": 0.05,
            "wall_to_calibrated": [0.95, 1.05],
            "cancel_seconds": 2.0,
            "api_resident_bytes": 150_000_000,
        },
    }
    RESULT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
