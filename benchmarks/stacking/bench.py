"""Eight learning rates trained together beside the same eight trained one after the other.

    python benchmarks/stacking/bench.py [--rounds 3] [--accelerator cpu] [--only race]

Both ways are the product's own: `train_stacked`, and `train` once for each rate. They take the
same steps from the same weights on the same samples, in turn, and end with one evaluation.
Stated is the ratio of seconds, separate over stacked: above 1 the stack is faster. Seconds on
the processor are given beside the wall's, since they hardly depend on what else a machine does;
and the gain that `measure_paces` tells beforehand, from a few steps.
The section `race` holds the races of whole jobs, as the product runs them, beside the same races
one run after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402 - threads are counted before NumPy and torch start theirs
import torch  # noqa: E402

from benchmarks.machine import machine_facts  # noqa: E402
from benchmarks.search.prepare_data import sources, split, token_ids  # noqa: E402
from benchmarks.stacking import race, rounding  # noqa: E402
from tuner.measuring.clock import synchronize  # noqa: E402
from tuner.measuring.stacking import measure_paces, train_stacked  # noqa: E402
from tuner.measuring.train import train  # noqa: E402
from tuner.measuring.workbench import Workbench, set_up  # noqa: E402
from tuner.places import Places  # noqa: E402
from tuner.records import (  # noqa: E402
    BatchPlan,
    StackTiming,
    TrainingResult,
    TrainingRun,
    Workload,
)

RESULT: Final = ROOT / "benchmarks" / "results" / "stacking.json"
RATES: Final = tuple(float(rate) for rate in np.geomspace(1e-4, 1e-2, 8))
OWN_SEEDS_AT: Final = 32
"""The batch at which runs of different seeds are compared too."""

ROUNDING_JOBS: Final = (
    "digits-cnn, batch 8",
    "digits-cnn of three layers with BatchNorm, batch 8",
)
TOKENS: Final = 32
SGD: Final = {"kind": "sgd", "momentum": 0.9}
ADAM: Final = {"kind": "adam"}

Way = Callable[[Workbench, Sequence[TrainingRun]], list[TrainingResult]]
"""Trains runs, together or one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model on its data, and how many steps a run takes at which batch."""

    name: str
    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    task: str
    optimizer: Mapping[str, Any]
    steps: Mapping[int, int]

    def workload(self, accelerator: str) -> Workload:
        """The same as the record that a measurement takes."""
        training = {
            "task": self.task,
            "optimizer": self.optimizer,
            "schedule": {"kind": "constant"},
            "precision": "fp32",
            "gradient_clip_norm": None,
        }
        return Workload(
            model=self.model,
            dataset=self.dataset,
            training=training,
            metric="validation_loss",
            accelerator=accelerator,
            data_seed=0,
        )


def subjects() -> tuple[Subject, ...]:
    digits = {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2}
    text = {"kind": "files", "format": "npz", "path": "text.npz", "validation_fraction": 0.2}
    small = {"width": 32, "depth": 2, "heads": 4}
    return (
        Subject(
            name="mlp",
            model={"kind": "builtin", "name": "mlp", "options": {"hidden": [64]}},
            dataset=digits,
            task="classification",
            optimizer=SGD,
            steps={8: 400, 32: 400, 128: 240, 512: 120},
        ),
        Subject(
            name="cnn",
            model={"kind": "builtin", "name": "cnn", "options": {"channels": [16, 32]}},
            dataset=digits,
            task="classification",
            optimizer=SGD,
            steps={8: 400, 32: 400, 128: 240, 512: 120},
        ),
        Subject(
            name="transformer",
            model={"kind": "builtin", "name": "transformer", "options": small},
            dataset=text,
            task="causal_lm",
            optimizer=ADAM,
            steps={8: 240, 32: 120, 128: 40},
        ),
    )


def requests(workload: Workload, batch: int, steps: int, seeds: Sequence[int]) -> list[TrainingRun]:
    """State one run for each rate."""
    return [
        TrainingRun(
            id=f"{place}",
            workload=workload,
            plan=BatchPlan(micro_batch_size=batch),
            learning_rate=rate,
            seed=seed,
            max_steps=steps,
            evaluate_every_steps=steps,
            target=None,
            device_kind=workload.accelerator,
        )
        for place, (rate, seed) in enumerate(zip(RATES, seeds, strict=True))
    ]


def separate(bench: Workbench, runs: Sequence[TrainingRun]) -> list[TrainingResult]:
    """Train the runs one after the other."""
    return [
        train(lambda: bench, run, tightened=lambda: None, began=time.perf_counter()) for run in runs
    ]


def timed(
    way: Way, bench: Workbench, runs: Sequence[TrainingRun]
) -> tuple[float, float, list[TrainingResult]]:
    """Train, and return wall seconds, processor seconds and results."""
    synchronize(bench.device)
    wall, cpu = time.perf_counter(), time.process_time()
    results = way(bench, runs)
    synchronize(bench.device)
    return time.perf_counter() - wall, time.process_time() - cpu, results


def compare(bench: Workbench, runs: Sequence[TrainingRun], rounds: int) -> dict[str, Any]:
    """Train both ways in turn; the first turn of each is not counted."""
    ways: dict[str, Way] = {"stacked": train_stacked, "separate": separate}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name in sorted(ways, reverse=bool(number % 2)):
            seconds, processor, results = timed(ways[name], bench, runs)
            losses[name] = [result.curve[-1].value for result in results]
            if number:
                wall[name].append(seconds)
                cpu[name].append(processor)
    apart = np.abs(np.array(losses["stacked"]) / np.array(losses["separate"]) - 1.0)
    ratios = [b / a for a, b in zip(wall["stacked"], wall["separate"], strict=True)]
    of_cpu = [b / a for a, b in zip(cpu["stacked"], cpu["separate"], strict=True)]
    return {
        "batch": runs[0].plan.global_batch_size,
        "steps": runs[0].max_steps,
        "seeds": "one" if len({run.seed for run in runs}) == 1 else "each its own",
        "stacked_seconds": round(statistics.median(wall["stacked"]), 4),
        "separate_seconds": round(statistics.median(wall["separate"]), 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in sorted(ratios)],
        "processor_ratio": round(statistics.median(of_cpu), 3),
        "measured_gain": round(gain(bench, runs), 3),
        "largest_relative_difference_of_loss": float(f"{apart.max():.1e}"),
    }


def gain(bench: Workbench, runs: Sequence[TrainingRun]) -> float:
    """Tell the gain of all runs together beforehand, as the race does; 0 without the memory."""
    request = StackTiming(
        id="gain", runs=tuple(runs), widths=(len(runs),), allowance_seconds=float("inf")
    )
    found = measure_paces(lambda: bench, request)
    seconds = found.paces[0].step_seconds
    return 0.0 if seconds is None else len(runs) * found.lone_step_seconds / seconds


def write_text(folder: Path) -> None:
    """Write the start of the standard library as samples of 64 tokens."""
    tokens = token_ids("\n".join(sources())[: TOKENS * 4200], TOKENS)
    np.savez(folder / "text.npz", **split(tokens, None, 64))  # type: ignore[arg-type]


def comparison(accelerator: str, rounds: int) -> list[dict[str, Any]]:
    """Eight fresh runs, of each model at each batch."""
    one, own = (0,) * len(RATES), tuple(range(len(RATES)))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(folder)
        places = Places(artifacts=folder, file_roots=(folder,))
        for subject in subjects():
            bench = set_up(subject.workload(accelerator), places)
            for batch, steps in subject.steps.items():
                for seeds in (one, own) if batch == OWN_SEEDS_AT else (one,):
                    runs = requests(bench.workload, batch, steps, seeds)
                    row = {"model": subject.name, **compare(bench, runs, rounds)}
                    print(json.dumps(row), flush=True)
                    rows.append(row)
    return rows


def races(rounds: int, wanted: str | None, known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Races of whole jobs, each with the load of the machine at its end.

    Args:
        rounds: Races each way.
        wanted: The one job to run; None for all of them.
        known: Rows of an earlier call; those of other jobs are kept.
    """
    rows = {row["job"]: row for row in known}
    for name, parts in race.jobs().items():
        if wanted in {None, name}:
            load = {"load_average": machine_facts()["load_average"]}
            rows[name] = {**race.compare(name, parts, rounds), **load}
            print(json.dumps(rows[name]), flush=True)
    order = [name for name in race.jobs() if name in rows]
    return {"rounds": rounds, "machine": machine_facts(), "jobs": [rows[name] for name in order]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--accelerator", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--only", choices=["comparison", "race", "rounding"])
    parser.add_argument("--job", choices=list(race.jobs()), help="the one race to run")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    if asked.only in {None, "comparison"}:
        report |= {
            "bench": "stacking",
            "command": "python benchmarks/stacking/bench.py",
            "machine": machine_facts(),
            "device": device_name(asked.accelerator),
            "rates": len(RATES),
            "comparison": comparison(asked.accelerator, asked.rounds),
        }
    if asked.only in {None, "rounding"} and asked.accelerator == "cpu":
        report["rounding"] = {n: rounding.parting(race.jobs()[n]) for n in ROUNDING_JOBS}
    if asked.only in {None, "race"} and asked.accelerator == "cpu":
        known = report.get("race", {}).get("jobs", [])
        report["race"] = races(asked.rounds, asked.job, known)
    asked.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def device_name(accelerator: str) -> str:
    return torch.cuda.get_device_name() if accelerator == "cuda" else "cpu, one thread"


if __name__ == "__main__":
    main()
