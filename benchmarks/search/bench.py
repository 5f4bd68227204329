"""How close each method comes to the exhaustive optimum, for what it costs: one command.

    python benchmarks/search/bench.py [--workloads NAME ...] [--methods NAME ...] [--repeats N]

Every method searches recorded grids of real training runs (`results/search-grids`), on two
cards with known step times, and is scored on four seeds that it has not seen. Writes
`results/search.json` and `results/search.svg`. Rows are kept in `build/`, so that a bench goes
on where it stopped, and repeats only what has changed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_facts  # noqa: E402
from benchmarks.search.card import CARDS  # noqa: E402
from benchmarks.search.methods import Method  # noqa: E402
from benchmarks.search.peers import ray_asha  # noqa: E402
from benchmarks.search.plots import plot  # noqa: E402
from benchmarks.search.regret import GRID_LIMITS  # noqa: E402
from benchmarks.search.rows import BUDGETS, Row, Task, methods, run  # noqa: E402
from benchmarks.search.summary import summary  # noqa: E402
from benchmarks.search.workloads import WORKLOADS  # noqa: E402

RESULTS: Final = ROOT / "benchmarks" / "results"
GRIDS: Final = RESULTS / "search-grids"
DEFAULT_REPEATS: Final = 30
RAY_REPEATS: Final = 10
"""Repeats of Ray, unless it is told to make more."""

PROCESSES: Final = 2


def tasks(arguments: argparse.Namespace) -> Iterator[Task]:
    """List what is to be run; a method that has no horizon runs under one limit only."""
    for workload in WORKLOADS:
        path = GRIDS / f"{workload.name}.npz"
        if not path.exists() or (arguments.workloads and workload.name not in arguments.workloads):
            continue
        for method in methods(arguments.methods):
            if not method.is_ready(workload.name):
                print(f"{method.name} has no recording on {workload.name} and is left out")
                continue
            limits = list(GRID_LIMITS) if method.has_horizon else list(GRID_LIMITS)[:1]
            for limit in limits:
                for card in CARDS:
                    yield Task(
                        path=path,
                        card=card.name,
                        method=method.name,
                        limit=limit,
                        repeats=_repeats(method, arguments),
                    )


def _repeats(method: Method, arguments: argparse.Namespace) -> int:
    """Ray takes seconds where the others take a hundredth, so it does less."""
    repeats: int = arguments.repeats
    if method.name == "ray-asha-optuna":
        return min(repeats, int(arguments.ray_repeats))
    return repeats


def run_apart(task: Task) -> list[Row]:
    """Run one task in a process of the pool, and leave no Ray behind."""
    try:
        return run(task)
    finally:
        if task.method.startswith("ray"):
            ray_asha.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="*", default=[])
    parser.add_argument("--methods", nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=DEFAULT_REPEATS)
    parser.add_argument("--ray-repeats", type=int, default=RAY_REPEATS)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    wanted = list(tasks(arguments))
    rows: list[Row] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
        for task, found in zip(wanted, pool.map(run_apart, wanted), strict=True):
            rows += found
            print(task.path.stem, task.card, task.method, task.limit, flush=True)
    left_out = [method.name for method in methods([]) if method not in methods(arguments.methods)]
    report = {
        "bench": "search",
        "command": "python benchmarks/search/bench.py",
        "machine": machine_facts(),
        "repeats": arguments.repeats,
        "methods_left_out": left_out,
        "budgets_in_oracle_runs": list(BUDGETS),
        **summary(rows, GRIDS),
    }
    print(json.dumps(report["kinds"], indent=1))
    if not arguments.workloads:
        (RESULTS / "search.json").write_text(json.dumps(report, indent=1) + "\n")
        plot(report, RESULTS / "search.svg")


if __name__ == "__main__":
    main()
