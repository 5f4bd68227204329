"""Record the grids: train every workload at every batch size, learning rate and seed, once.

    python benchmarks/search/record.py [NAME ...] [--processes 2]
    python benchmarks/search/record.py --check 3

The runs of one batch size are trained side by side and left as a partial file; a recording
that is broken off goes on with the batch sizes that are missing. When a workload's partial
files are all there they become `benchmarks/results/search-grids/NAME.npz`.

A run ends where it reaches the target or diverges, or at the cap: three times the step at
which a first learning rate of its batch size had more than half of its seeds at the target.
A batch size where no rate comes that far ends after 400 evaluations.

`--check` draws cells of what was recorded, trains each of them alone by the measuring that
every job uses, and compares the two curves.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402 - threads are counted before NumPy and torch start theirs
import torch  # noqa: E402

from benchmarks.machine import machine_facts  # noqa: E402
from benchmarks.search.checking import check  # noqa: E402
from benchmarks.search.prepare_data import FOLDER, prepare  # noqa: E402
from benchmarks.search.stacked_runs import record_batch  # noqa: E402
from benchmarks.search.workloads import BY_NAME, SEEDS, WORKLOADS, Recorded  # noqa: E402
from tuner.measuring.workbench import Workbench, set_up  # noqa: E402
from tuner.places import Places  # noqa: E402

GRIDS: Final = ROOT / "benchmarks" / "results" / "search-grids"
PARTIAL: Final = FOLDER.parent / "partial"

CAP_RULE: Final = (
    "a run ends at 3 x the step at which a first learning rate of its batch size had more than "
    "half of its seeds at the target; where none has, after 400 evaluations"
)

EACH_BATCH: Final = (
    "steps", "curves", "diverged", "noise_steps", "noise_small", "noise_big", "noise_splits",
)  # fmt: skip
"""Arrays that get an axis of batch sizes."""


def bench_of(recorded: Recorded) -> Workbench:
    """Set a workload up with its data from where `prepare_data.py` puts them."""
    return set_up(recorded.workload, Places(artifacts=PARTIAL, file_roots=(FOLDER,)))


def partial_path(name: str, batch: int) -> Path:
    """Say where the runs of one batch size are left."""
    return PARTIAL / f"{name}-{batch}.npz"


def record_part(name: str, batch: int) -> float:
    """Record one batch size of one workload.

    Returns:
        Wall seconds.
    """
    torch.set_num_threads(1)
    recorded = BY_NAME[name]
    arrays = record_batch(bench_of(recorded), recorded, batch, SEEDS)
    target = partial_path(name, batch)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}")
    np.savez_compressed(part, **arrays)  # type: ignore[arg-type]
    part.rename(target)
    return float(arrays["seconds"])


def padded(parts: list[np.ndarray], fill: float) -> np.ndarray:
    """Stack arrays of different length along their last axis, in front of a new first one."""
    if parts[0].ndim == 0:
        return np.stack(parts)
    longest = max(part.shape[-1] for part in parts)
    room = [(*part.shape[:-1], longest - part.shape[-1]) for part in parts]
    return np.stack([
        np.concatenate([part, np.full(shape, fill, dtype=part.dtype)], axis=-1)
        for part, shape in zip(parts, room, strict=True)
    ])  # fmt: skip


def assemble(recorded: Recorded) -> Path:
    """Put the parts of a workload together.

    Returns:
        The grid's file.
    """
    parts: list[dict[str, np.ndarray]] = []
    for batch in recorded.batches:
        with np.load(partial_path(recorded.name, batch)) as archive:
            parts.append(dict(archive))
    arrays = {
        name: padded([part[name] for part in parts], -1 if "steps" in name else np.nan)
        if name != "diverged"
        else np.stack([part[name] for part in parts])
        for name in EACH_BATCH
    }
    arrays["batches"] = np.array(recorded.batches, dtype=np.int64)
    arrays["rates"] = np.array(recorded.rates, dtype=np.float64)
    arrays["seeds"] = np.array(SEEDS, dtype=np.int64)
    arrays["meta"] = np.array(json.dumps(facts(recorded, parts)))
    GRIDS.mkdir(parents=True, exist_ok=True)
    target = GRIDS / f"{recorded.name}.npz"
    np.savez_compressed(target, **arrays)  # type: ignore[arg-type]
    return target


def facts(recorded: Recorded, parts: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """State what was recorded, and with what."""
    bench = bench_of(recorded)
    machine = machine_facts()
    initial = [float(loss) for loss in parts[0]["initial_losses"]]
    return {
        "workload": recorded.name,
        "kind": recorded.kind,
        "model": recorded.model,
        "dataset": recorded.dataset,
        "training": recorded.training,
        "target": recorded.target,
        "metric": recorded.workload.metric,
        "initial_loss": float(np.mean(initial)),
        "initial_losses": initial,
        "num_train": len(bench.train),
        "num_validation": len(bench.validation),
        "parameters": sum(p.numel() for p in bench.model(0).parameters()),
        "data_digest": bench.data.digest,
        "versions": machine["versions"],
        "machine": machine,
        "seconds": sum(float(part["seconds"]) for part in parts),
        "seconds_by_batch": [float(part["seconds"]) for part in parts],
        "cap_steps": [int(part["cap"]) for part in parts],
        "cap_rule": CAP_RULE,
    }


def record(names: list[str], processes: int) -> None:
    """Record what is missing, and put together what is whole."""
    waiting = {name: list(BY_NAME[name].batches) for name in names}
    jobs = [(n, b) for n, each in waiting.items() for b in each if not partial_path(n, b).exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
        running = {pool.submit(record_part, *job): job for job in jobs}
        for done in as_completed(running):
            name, batch = running[done]
            print(f"{name} {batch}: {done.result():.0f} s", flush=True)
            if all(partial_path(name, each).exists() for each in waiting[name]):
                report(assemble(BY_NAME[name]))
    for name in names:
        if not (GRIDS / f"{name}.npz").exists():
            report(assemble(BY_NAME[name]))


def report(path: Path) -> None:
    print(f"{path.name}: {path.stat().st_size} bytes", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads; all by default")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--check", type=int, metavar="CELLS", help="compare cells with lone runs")
    asked = parser.parse_args()
    prepare()
    names = asked.names or [recorded.name for recorded in WORKLOADS]
    if asked.check is None:
        record(names, asked.processes)
        return 0
    torch.set_num_threads(1)
    places = Places(artifacts=PARTIAL, file_roots=(FOLDER,))
    return check(names, asked.check, grids=GRIDS, places=places)


if __name__ == "__main__":
    sys.exit(main())
