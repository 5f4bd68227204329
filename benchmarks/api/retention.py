"""What a day of jobs leaves in the database, table by table.

    python benchmarks/api/retention.py [--jobs 96] [--folder kept-between-calls]

Jobs of the default budget are driven through the real controller and store, one after the
other, at full speed. What measures is the small world of the tests, whose laws are known, with
seeds that scatter; everything that is recorded is what a real job records: events, results with
their loss curves, noise windows and step times, trials, progress and answer.

Assumed: a service that is never idle and answers one job every five minutes, 288 in a day. None
of them is answered from the past, which would leave less. A third of them are run; what they
added to an empty database is scaled to the day, since no job's share depends on the others'.
Asked: at most 100 MB for the day.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_facts  # noqa: E402
from service.controller import Controller  # noqa: E402
from service.settings import Settings  # noqa: E402
from service.store.database import Database  # noqa: E402
from service.store.jobs import Asked, Jobs  # noqa: E402
from service.store.ledger import Ledger  # noqa: E402
from service.store.migrate import migrate  # noqa: E402
from tests.service.fake_executor import FakeExecutor  # noqa: E402
from tests.tuner.world import World  # noqa: E402
from tuner.spec import digest  # noqa: E402
from tuner.tuning import Tuning  # noqa: E402

JOBS_A_DAY = 24 * 12
JOBS_RUN = JOBS_A_DAY // 3
MOST_BYTES = 100 * 10**6
RESULT = ROOT / "benchmarks" / "results" / "api-retention.json"

SPEC: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "cnn", "options": {"channels": [16, 32]}},
    "dataset": {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
    "training": {
        "task": "classification",
        "optimizer": {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.0001},
        "schedule": {"kind": "constant"},
    },
    "objective": {"kind": "time_to_target", "metric": "validation_loss", "target": 0.1},
    "search": {"reuse": "never"},
}


def run(folder: Path, number_of_jobs: int) -> tuple[Path, dict[str, int]]:
    """Drive the jobs that are missing; return the database and how many ended in which state."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(data_dir=folder, heartbeat_seconds=3600)
    database = Database(settings.resolved_database_url)
    migrate(database, lock_file=folder / "migrate.lock")
    jobs = Jobs(database)
    controller = Controller(
        settings=settings,
        ledger=Ledger(database),
        executor=FakeExecutor(world=World(scatter=0.15, own_scatter=0.05)),
        make_machine=Tuning,
    )
    controller.recover()
    for seed in range(sum(jobs.counts().values()), number_of_jobs):
        spec = {**SPEC, "seed": seed}
        jobs.create(spec, digest(spec), max_queued=2, asked=Asked(forced=True))
        controller.turn(0.0)
        while controller.jobs:
            controller.turn(0.0)
        if seed % 24 == 23:
            print(f"{seed + 1} jobs", flush=True)
    states = jobs.counts()
    database.close()
    file = database.file
    if file is None:
        raise SystemExit("only the size of a database file can be told")
    return file, states


def sizes(file: Path) -> tuple[int, dict[str, int]]:
    """Bytes of the whole database, and of each table with its indexes; nothing is compacted."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        owners = dict(connection.execute("SELECT name, tbl_name FROM sqlite_master"))
        pages = connection.execute("SELECT name, SUM(pgsize) FROM dbstat GROUP BY name")
        found: dict[str, int] = {}
        for name, size in pages:
            owner = owners.get(name, name)
            found[owner] = found.get(owner, 0) + size
    whole = sum(each.stat().st_size for each in file.parent.glob(f"{file.name}*"))
    return whole, dict(sorted(found.items(), key=lambda item: -item[1]))


def counts(file: Path) -> dict[str, float]:
    """Rows of one job in the tables that grow with it."""
    tables = ("job", "record", "result", "attempt", "trial")
    with closing(sqlite3.connect(file)) as connection:
        rows = {
            table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608 - names of ours
            for table in tables
        }
    return {table: number / rows["job"] for table, number in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=JOBS_RUN)
    parser.add_argument("--folder", type=Path, help="Kept, and gone on with by the next call.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "day"
        empty, _ = sizes(run(Path(temporary) / "empty", 0)[0])
        file, states = run(folder, options.jobs)
        whole, tables = sizes(file)
        rows = counts(file)
    per_job = (whole - empty) / options.jobs
    day = empty + per_job * JOBS_A_DAY
    report = {
        "machine": machine_facts(),
        "assumed": f"one job in five minutes, {JOBS_A_DAY} a day, none answered from the past",
        "jobs": options.jobs,
        "states": states,
        "database_bytes": whole,
        "empty_database_bytes": empty,
        "bytes_per_job": round(per_job),
        "bytes_per_day": round(day),
        "asked_bytes_per_day": MOST_BYTES,
        "holds": day <= MOST_BYTES,
        "table_bytes": tables,
        "rows_per_job": {name: round(value, 1) for name, value in rows.items()},
    }
    print(json.dumps(report, indent=2))
    if options.jobs >= JOBS_RUN:
        RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
