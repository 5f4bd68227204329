"""Does the sharpness tie-break pay? Test loss of its pick against that of the fastest.

    python benchmarks/tiebreak/bench.py [NAME ...] [--processes 2] [--minutes 8]

Trains the near-best cells of the recorded search workloads anew, on a three-way split, through
the measuring that every job uses: to the target, sharpness at the crossing. What a run ended
with is then tried on a test part that neither training nor target nor sharpness has seen. From
the runs every possible confirmation is drawn and decided by `tuner.deciding`; where sharpness
chose, the pick is held against the fastest on the seeds that the confirmation did not run.

Runs are kept in `build/` as they come. Exit code 75 says that the minutes ended first, and the
same call again goes on from there; with every run there, `results/tiebreak.json` is written.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.machine import machine_facts  # noqa: E402 - threads are counted before torch
from benchmarks.search.prepare_data import prepare  # noqa: E402
from benchmarks.search.workloads import BY_NAME, WORKLOADS  # noqa: E402
from benchmarks.tiebreak.setting import Setting  # noqa: E402
from benchmarks.tiebreak.splits import three_way  # noqa: E402
from benchmarks.tiebreak.summary import Judged, document, judge  # noqa: E402
from benchmarks.tiebreak.training import kept, setting_path, train_workload  # noqa: E402

RESULT: Final = ROOT / "benchmarks" / "results" / "tiebreak.json"
TRY_AGAIN: Final = 75


def train(names: list[str], processes: int, until: float) -> bool:
    """Train what is missing, a workload to a process; say whether all of it is there."""
    prepare()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
        done = pool.map(partial(train_workload, until=until), names)
        return all(list(done))


def judged(name: str) -> Judged:
    """Judge one workload whose runs are all there."""
    return judge(three_way(BY_NAME[name]), Setting.read(setting_path(name)), kept(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads; all by default")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0)
    asked = parser.parse_args()
    names = asked.names or [one.name for one in WORKLOADS]
    if not train(names, asked.processes, time.time() + 60.0 * asked.minutes):
        print("the minutes ended first; call again to go on", flush=True)
        return TRY_AGAIN
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.processes, mp_context=context) as pool:
        found = dict(zip(names, pool.map(judged, names), strict=True))
    RESULT.write_text(json.dumps({"machine": machine_facts(), **document(found)}, indent=1) + "\n")
    print(f"wrote {RESULT.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
