"""How quickly a session answers, starts and lets go.

    python benchmarks/workers/bench.py [--repeats 20]

Measured on the processor with the real measuring code and a small model on iris:

- `ping`: an empty request to a warm child, there and back;
- `first_child`: until the first child is configured: a new interpreter and torch;
- `fresh_child`: until another one is, from the same keeper;
- `cancel_training`: from `cancel` until `measure` has returned and the child is gone;
- `cancel_deaf`: the same for code that ignores SIGTERM and never lets another thread run;
- `proportional_bytes`: memory of keeper and child, shared pages counted in shares.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tuner.places import Places  # noqa: E402 - found beside this file's folder
from tuner.records import BatchPlan, Inspect, Request, TrainingRun, Workload  # noqa: E402
from workers.devices import cpu  # noqa: E402
from workers.executor import AttemptId, Finished, Update  # noqa: E402
from workers.session import DeviceSession  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "workers.json"
PINGS = 1000
IRIS = Workload(
    model={"kind": "builtin", "name": "mlp", "options": {"hidden": [64], "dropout": 0.0}},
    dataset={"kind": "sklearn", "name": "iris", "validation_fraction": 0.2},
    training={
        "task": "classification",
        "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
        "schedule": {"kind": "constant"},
        "precision": "fp32",
        "gradient_clip_norm": None,
        "activation_checkpointing": False,
        "attention": "auto",
        "compile": False,
    },
    metric="validation_loss",
    accelerator="cpu",
    data_seed=0,
)
ENDLESS = TrainingRun(
    id="run",
    workload=IRIS,
    plan=BatchPlan(micro_batch_size=8),
    learning_rate=1e-6,
    seed=0,
    max_steps=10**9,
    evaluate_every_steps=1000,
    target=None,
    device_kind="cpu",
)
DEAF = """
import ctypes, signal

def build(**_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.PyDLL(None).sleep(600)
"""


class Bench:
    """A session on the processor, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "deaf.py").write_text(DEAF)
        self.places = Places(
            artifacts=folder / "artifacts", code_root=folder, entrypoint_prefixes=("deaf",)
        )
        self.session = DeviceSession(cpu(), lock_folder=folder)
        self._jobs = 0

    def attempt(self, request: Request, *, new_job: bool = False) -> AttemptId:
        """Name a try at a request, of the same job unless another is asked for."""
        self._jobs += new_job
        return AttemptId(job_id=str(self._jobs), request_id=request.id, number=1)

    def seconds_to_start(self) -> float:
        """Start a child for a new job and return the seconds of it that are not measuring."""
        request = Inspect(id="i", workload=IRIS)
        began = time.perf_counter()
        update = self.session.measure(self.attempt(request, new_job=True), request, self.places)
        seconds = time.perf_counter() - began
        if not isinstance(update, Finished):
            raise TypeError(f"the inspection ended as {update}")
        return seconds - update.result.device_seconds

    def seconds_to_cancel(self, request: Request) -> float:
        """Cancel a request half a second into it."""
        attempt = self.attempt(request)
        updates: list[Update] = []
        thread = threading.Thread(
            target=lambda: updates.append(self.session.measure(attempt, request, self.places))
        )
        thread.start()
        time.sleep(0.5)
        began = time.perf_counter()
        self.session.cancel(attempt)
        thread.join()
        seconds = time.perf_counter() - began
        if getattr(updates[0], "cause", None) != "withdrawn":
            raise TypeError(f"the cancelled request ended as {updates[0]}")
        return seconds

    def first_child_seconds(self) -> float:
        """Start a child with all that goes before it."""
        self.session.close()
        return self.seconds_to_start()

    def proportional_bytes(self) -> dict[str, int]:
        """Memory of the keeper and of the warm child."""
        child = self.session.slot().child_pid or 0
        stat = Path(f"/proc/{child}/stat").read_text()
        keeper = int(stat.rpartition(")")[2].split()[1])
        return {"child": _proportional_bytes(child), "keeper": _proportional_bytes(keeper)}


def _proportional_bytes(pid: int) -> int:
    """Memory of a process, pages shared with others counted in shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (pss,) = [line for line in lines if line.startswith("Pss:")]
    return int(pss.split()[1]) * 1024


def _summary(seconds: Sequence[float]) -> dict[str, float | int]:
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "median_seconds": statistics.median(ordered),
        "p99_seconds": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "worst_seconds": ordered[-1],
    }


def _times(repeats: int, measure: Callable[[], float]) -> dict[str, float | int]:
    return _summary([measure() for _ in range(repeats)])


def _machine() -> dict[str, object]:
    device = cpu()
    return {
        "processor": device.name,
        "cores": os.cpu_count(),
        "memory_bytes": device.memory_bytes,
        "load_before": os.getloadavg()[0],
        "system": platform.system(),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    deaf = {"kind": "entrypoint", "target": "deaf:build", "kwargs": {}}
    stuck = Inspect(id="deaf", workload=replace(IRIS, model=deaf))
    machine = _machine()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            results = {
                "first_child": _times(max(3, repeats // 4), bench.first_child_seconds),
                "fresh_child": _times(repeats, bench.seconds_to_start),
                "ping": _times(PINGS, bench.session.ping),
                "proportional_bytes": bench.proportional_bytes(),
                "cancel_training": _times(repeats, lambda: bench.seconds_to_cancel(ENDLESS)),
                "cancel_deaf": _times(repeats, lambda: bench.seconds_to_cancel(stuck)),
            }
        finally:
            bench.session.close()
    document = {"machine": machine, "measured": time.strftime("%Y-%m-%d"), "results": results}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
