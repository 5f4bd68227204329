"""A landscape of 51 x 51 points by the way that a study takes, beside the plain loop.

    python benchmarks/landscape/bench.py [--model cnn] [--points 51] [--rounds 3]

The plain loop puts the model at one point after the other and evaluates the fixed set in passes
of 128 samples. The study's way finds out on the first points whether larger passes or stacked
weights are faster; its trial is in its time. Both take turns. Stated is the ratio of seconds,
plain loop over the study's way: above 1 the study's way is faster; and how far their values are
apart. Processor seconds are compared beside the wall's, since they hardly depend on what else a
machine does. Stacked weights alone are timed too, to show what they would have cost.
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
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402 - threads are counted before NumPy and torch start theirs
import torch  # noqa: E402

from benchmarks.machine import machine_facts  # noqa: E402
from tuner.measuring.clock import synchronize  # noqa: E402
from tuner.measuring.minimum import FixedSet  # noqa: E402
from tuner.measuring.sharpness import SAMPLES_PER_PASS  # noqa: E402
from tuner.measuring.sharpness.surface import on_surface  # noqa: E402
from tuner.measuring.study import run_to_minimum  # noqa: E402
from tuner.measuring.study.grid import (  # noqa: E402
    Plane,
    Point,
    losses_one_by_one,
    losses_stacked,
)
from tuner.measuring.study.landscape import plane_of  # noqa: E402
from tuner.measuring.study.minimiser import model_at  # noqa: E402
from tuner.measuring.study.pacing import WIDTHS, losses_on  # noqa: E402
from tuner.measuring.workbench import Workbench, set_up  # noqa: E402
from tuner.places import Places  # noqa: E402
from tuner.records import LandscapeProbe, StudyRun, Workload  # noqa: E402

RESULT: Final = ROOT / "benchmarks" / "results" / "landscape.json"
STACKED_POINTS: Final = 128
"""Points on which stacked weights alone are timed, and the first ones warm caches up."""

MODELS: Final[Mapping[str, Mapping[str, Any]]] = {
    "mlp": {"kind": "builtin", "name": "mlp", "options": {"hidden": [64]}},
    "cnn": {"kind": "builtin", "name": "cnn", "options": {"channels": [16, 32]}},
}


def workload(model: str, accelerator: str) -> Workload:
    """The model on scikit-learn's digits."""
    return Workload(
        model=MODELS[model],
        dataset={"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
        training={
            "task": "classification",
            "optimizer": {"kind": "sgd", "momentum": 0.9},
            "schedule": {"kind": "constant"},
            "precision": "fp32",
            "gradient_clip_norm": None,
        },
        metric="validation_loss",
        accelerator=accelerator,
        data_seed=0,
    )


def minimiser_of(bench: Workbench) -> str:
    """Train to the minimum, as a study does."""
    request = StudyRun(
        id="run",
        workload=bench.workload,
        global_batch_size=32,
        micro_batch_size=32,
        learning_rate=0.02,
        seed=0,
        max_epochs=60,
        patience_epochs=5,
        device_kind=bench.workload.accelerator,
    )
    result = run_to_minimum(
        lambda: bench, request, tightened=lambda: None, began=time.perf_counter()
    )
    if result.minimiser is None:
        raise RuntimeError(f"the run ended {result.outcome} without a minimiser")
    return result.minimiser


def timed(device: torch.device, work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Work, and return wall seconds, processor seconds and the value."""
    synchronize(device)
    wall, processor = time.perf_counter(), time.process_time()
    value = work()
    synchronize(device)
    return time.perf_counter() - wall, time.process_time() - processor, value


def compare(bench: Workbench, points_per_axis: int, rounds: int) -> dict[str, Any]:
    """Both ways in turn over the same grid."""
    request = LandscapeProbe(
        id="landscape",
        workload=bench.workload,
        minimiser=minimiser_of(bench),
        seed=0,
        dimensions=2,
        points=points_per_axis,
        radius=1.0,
    )
    model = model_at(bench, request.minimiser)
    chosen = FixedSet.of(bench)
    axis = np.linspace(-1.0, 1.0, points_per_axis).tolist()
    points: list[Point] = [(x, y) for y in axis for x in axis]
    with on_surface(model, chosen.loss_sum_of(model), chosen.counts, samples_per_pass=1):
        plane = plane_of(model, chosen, request)
        row = in_turn(plane, points, rounds, bench.device)
        row["stacked_alone"] = stacked(plane, points, bench.device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters, "points": len(points), "rounds": rounds, **row}


def in_turn(
    plane: Plane, points: Sequence[Point], rounds: int, device: torch.device
) -> dict[str, Any]:
    """Time the plain loop and the study's way, each first in every other round."""
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: losses_one_by_one(plane, points, samples_per_pass=SAMPLES_PER_PASS),
        "chosen": lambda: losses_on(plane, points, samples_per_pass=SAMPLES_PER_PASS),
    }
    losses_one_by_one(plane, points[:STACKED_POINTS], samples_per_pass=SAMPLES_PER_PASS)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    of_cpu: dict[str, list[float]] = {name: [] for name in ways}
    taken, apart = [], 0.0
    for number in range(rounds):
        values: dict[str, Any] = {}
        for name in sorted(ways, reverse=bool(number % 2)):
            spent, processor, values[name] = timed(device, ways[name])
            seconds[name].append(spent)
            of_cpu[name].append(processor)
        losses, way = values["chosen"]
        taken.append({"way": way.kind, "width": way.width, "samples": way.samples_per_pass})
        differences = np.abs(np.array(losses) / np.array(values["plain"]) - 1.0)
        apart = max(apart, float(differences.max()))
    ratios = [p / c for p, c in zip(seconds["plain"], seconds["chosen"], strict=True)]
    of_processor = [p / c for p, c in zip(of_cpu["plain"], of_cpu["chosen"], strict=True)]
    return {
        "plain_loop_seconds": round(statistics.median(seconds["plain"]), 3),
        "chosen_seconds": round(statistics.median(seconds["chosen"]), 3),
        "plain_over_chosen": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in sorted(ratios)],
        "of_processor_seconds": [round(ratio, 2) for ratio in sorted(of_processor)],
        "chosen": taken,
        "largest_relative_difference": float(f"{apart:.1e}"),
    }


def stacked(plane: Plane, points: Sequence[Point], device: torch.device) -> dict[str, Any]:
    """Time stacked weights beside the plain loop on some of the points."""
    some = points[:STACKED_POINTS]
    rows = {}
    on = 0 if device.type == "cuda" else 1  # processor seconds where the processor does the work
    for width in WIDTHS:

        def by_width(width: int = width) -> None:
            for start in range(0, len(some), width):
                losses_stacked(
                    plane, some[start : start + width], samples_per_pass=SAMPLES_PER_PASS
                )

        by_width()
        together = timed(device, by_width)[on]
        alone = timed(
            device, lambda: losses_one_by_one(plane, some, samples_per_pass=SAMPLES_PER_PASS)
        )[on]
        rows[f"{width} at once, plain_over_stacked"] = round(alone / together, 2)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=51)
    parser.add_argument("--model", choices=list(MODELS), help="the one model to look at")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--accelerator", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.cuda.get_device_name() if asked.accelerator == "cuda" else "cpu, one thread"
    with tempfile.TemporaryDirectory() as folder:
        for name in [asked.model] if asked.model else MODELS:
            bench = set_up(workload(name, asked.accelerator), Places(artifacts=Path(folder)))
            row = compare(bench, asked.points, asked.rounds)
            print(json.dumps({name: row}), flush=True)
            write(asked.out, f"{asked.accelerator}, {name}", {"device": device, **row})


def write(path: Path, key: str, row: Mapping[str, Any]) -> None:
    """Put a model's row into the results; those of other models and devices are kept."""
    report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    report |= {"bench": "landscape", "command": "python benchmarks/landscape/bench.py"}
    report[key] = {"machine": machine_facts(), **row}
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
