"""Recorded cells held against runs that were trained alone."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.search.workloads import BY_NAME, SEEDS
from tuner.measuring.dispatch import Measuring
from tuner.places import Places
from tuner.records import BatchPlan, Outcome, TrainingResult, TrainingRun

CLOSE: Final = 1e-3
"""Largest relative difference of losses over the first tenth of a run."""

DRAW_SEED: Final = 4


def check(names: list[str], cells: int, *, grids: Path, places: Places) -> int:
    """Draw cells, train each alone, and compare the curves.

    Two float computations of one training drift apart, the faster the larger the rate. So
    the curves are compared over the first tenth of the evaluations, four at least, and where
    the runs end is printed beside it.

    Args:
        names: Workloads to draw from; those not yet recorded are left out.
        cells: How many to draw.
        grids: Folder of the recorded grids.
        places: Where the data lie.

    Returns:
        An exit code: 0 if all curves agree.
    """
    draw = random.Random(DRAW_SEED)  # noqa: S311 - which cells are looked at is no secret
    there = [name for name in names if (grids / f"{name}.npz").exists()]
    alike = True
    for _ in range(cells):
        alike &= check_cell(draw, draw.choice(there), grids, places)
    return 0 if alike and there else 1


def check_cell(draw: random.Random, name: str, grids: Path, places: Places) -> bool:
    """Compare one cell that converges; print what was seen."""
    recorded = BY_NAME[name]
    with np.load(grids / f"{name}.npz") as grid:
        curves, steps = grid["curves"], grid["steps"]
        diverged, meta = grid["diverged"], json.loads(str(grid["meta"]))
    place = (
        draw.randrange(len(recorded.batches)),
        draw.randrange(len(recorded.rates)),
        draw.randrange(len(SEEDS)),
    )
    curve = curves[place][np.isfinite(curves[place])]
    batch, rate = recorded.batches[place[0]], recorded.rates[place[1]]
    every = int(steps[place[0]][0])
    lone = Measuring(places).measure(
        TrainingRun(
            id="check",
            workload=recorded.workload,
            plan=BatchPlan(micro_batch_size=batch),
            learning_rate=rate,
            seed=SEEDS[place[2]],
            max_steps=every * len(curve),
            evaluate_every_steps=every,
            target=meta["target"],
            device_kind="cpu",
        ),
        tightened=lambda: None,
    )
    if not isinstance(lone, TrainingResult):
        raise TypeError(f"a training run gave {type(lone).__name__}")
    values = np.array([point.value for point in lone.curve])
    early = min(max(4, len(curve) // 10), len(values), len(curve))
    worst = relative(curve[:early], values[:early])
    both = min(len(curve), len(values))
    whole = relative(curve[:both], values[:both])
    ended = "diverged" if diverged[place] >= 0 else f"{every * len(curve)} steps"
    print(
        f"{name} batch {batch} rate {rate:g} seed {SEEDS[place[2]]}: relative difference "
        f"{worst:.1e} over the first {early} evaluations, {whole:.1e} over {both}; "
        f"recorded {ended}, alone {lone.outcome} after {lone.steps}",
        flush=True,
    )
    return worst < CLOSE and (lone.outcome is Outcome.DIVERGED) == (diverged[place] >= 0)


def relative(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest relative difference."""
    return float(np.max(np.abs(one - other) / np.abs(other))) if len(one) else 0.0
