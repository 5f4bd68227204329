"""How far stacked runs part from lone ones, beside lone runs whose first weights were nudged.

Training amplifies rounding: at a high rate or a small batch two runs that differ in the last bit
of their weights are different runs after some hundred steps. So a stack is not asked for equal
ends of such runs, but to part from lone ones no sooner than a nudge of that last bit does.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from tuner.measuring.stacking import train_stacked
from tuner.measuring.train import train
from tuner.measuring.workbench import Workbench, set_up
from tuner.places import Places
from tuner.records import BatchPlan, Measure, TrainingResult, TrainingRun, Workload
from tuner.spec import TuningSpec

STEPS: Final = 180
EVERY: Final = 20
SEEDS: Final = (7, 8)
LAST_BIT: Final = 2.0**-23
"""Relative distance of neighbouring float32 numbers, at most."""


class Nudged(Workbench):
    """A bench whose fresh models have the last bit of their weights changed."""

    def model(self, seed: int) -> torch.nn.Module:
        """Build a model, and nudge it."""
        model = Workbench.model(self, seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.0 + LAST_BIT)
        return model


def parting(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Train a job's rates alone, stacked and nudged, and say how far losses are apart when.

    Args:
        parts: A spec.

    Returns:
        Median and largest relative difference to the lone run at each evaluation, over the rates
        and seeds that have not diverged by then.
    """
    workload = _workload(parts)
    rates = np.geomspace(parts["search_space"]["learning_rate"]["low"], 1.0, 8)
    apart: dict[str, dict[int, list[float]]] = {"stacked": {}, "nudged": {}}
    with tempfile.TemporaryDirectory() as folder:
        bench = set_up(workload, Places(artifacts=Path(folder)))
        nudged = Nudged(**{name: getattr(bench, name) for name in Workbench.__dataclass_fields__})
        for seed in SEEDS:
            runs = [_run(workload, index, float(rate), seed) for index, rate in enumerate(rates)]
            lone = [_alone(bench, run) for run in runs]
            _note(apart["stacked"], train_stacked(bench, runs), lone)
            _note(apart["nudged"], [_alone(nudged, run) for run in runs], lone)
    return {way: _told(seen) for way, seen in apart.items()}


def _workload(parts: Mapping[str, Any]) -> Workload:
    spec = TuningSpec.model_validate(parts)
    return Workload(
        model=spec.model.model_dump(mode="json"),
        dataset=spec.dataset.model_dump(mode="json"),
        training=spec.training.model_dump(mode="json"),
        metric="validation_loss",
        accelerator="cpu",
        data_seed=0,
    )


def _run(workload: Workload, index: int, rate: float, seed: int) -> TrainingRun:
    return TrainingRun(
        id=f"{index}",
        workload=workload,
        plan=BatchPlan(micro_batch_size=8),
        learning_rate=rate,
        seed=seed,
        max_steps=STEPS,
        evaluate_every_steps=EVERY,
        target=None,
        device_kind="cpu",
        measure=Measure(noise_windows=8),
    )


def _alone(bench: Workbench, run: TrainingRun) -> TrainingResult:
    return train(lambda: bench, run, tightened=lambda: None, began=time.perf_counter())


def _note(
    seen: dict[int, list[float]], ours: Sequence[TrainingResult], lone: Sequence[TrainingResult]
) -> None:
    for one, other in zip(ours, lone, strict=True):
        for mine, its in zip(one.curve, other.curve, strict=False):
            if math.isfinite(mine.value) and math.isfinite(its.value):
                seen.setdefault(mine.step, []).append(abs(mine.value / its.value - 1.0))


def _told(seen: Mapping[int, Sequence[float]]) -> dict[str, dict[str, float]]:
    by: dict[str, Callable[[Sequence[float]], float]] = {"median": statistics.median, "most": max}
    return {
        name: {str(step): float(f"{of(values):.1e}") for step, values in sorted(seen.items())}
        for name, of in by.items()
    }
