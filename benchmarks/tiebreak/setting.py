"""What is settled before a candidate is trained: step times, candidates, and the target."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.search.card import Card
from benchmarks.search.grid import Cell, Grid
from benchmarks.search.own_clock import time_passes, timed_card
from benchmarks.search.regret import all_seconds, miss_seconds
from benchmarks.tiebreak.splits import ThreeWay
from tuner import curve
from tuner.deciding.history import History
from tuner.deciding.job import Findings, Job
from tuner.deciding.plan import Goal, Plan
from tuner.deciding.runs import training_run
from tuner.deciding.timing import throughput
from tuner.measuring.dispatch import Measuring
from tuner.records import CapacityChanged, TimingMeasurement, TrainingResult, decode, encode
from tuner.spec import TuningSpec

NEAR: Final = 1.5
MOST: Final = 8
MOST_PER_BATCH: Final = 3
LEAST: Final = 6
"""Candidates are the quickest cells of the recorded grid by geometric mean over its seeds, on
this machine's own clock: those within `NEAR` of the best, at most `MOST` and `MOST_PER_BATCH` of
one batch; beyond `NEAR` only until there are `LEAST`, of two batches."""

EVALUATIONS: Final = 40
"""Evaluations in the time of the quickest cell; the cadence is equal in calibrated time."""

TARGET_SEEDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A configuration to train.

    Args:
        global_batch_size: B.
        learning_rate: Peak rate.
        believed: Mean ln seconds to the recorded target, on this machine's clock.
    """

    global_batch_size: int
    learning_rate: float
    believed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is settled of one workload.

    Args:
        candidates: Quickest first, as recorded.
        target: Validation loss to reach on the three-way split.
        timing: Passes of every batch, measured on this machine.
    """

    candidates: tuple[Candidate, ...]
    target: float
    timing: TimingMeasurement

    @property
    def cadence_seconds(self) -> float:
        """Calibrated seconds between evaluations."""
        return math.exp(self.candidates[0].believed) / EVALUATIONS

    def plain(self) -> dict[str, Any]:
        """State it as JSON."""
        return {
            "candidates": [
                [one.global_batch_size, one.learning_rate, one.believed] for one in self.candidates
            ],
            "target": self.target,
            "timing": encode(self.timing),
        }

    @classmethod
    def read(cls, path: Path) -> Setting:
        """Read what `plain` stated."""
        stated = json.loads(path.read_text())
        timing = decode(stated["timing"])
        assert isinstance(timing, TimingMeasurement)  # noqa: S101  (written by `plain`)
        rows = stated["candidates"]
        return cls(
            candidates=tuple(
                Candidate(global_batch_size=batch, learning_rate=rate, believed=believed)
                for batch, rate, believed in rows
            ),
            target=stated["target"],
            timing=timing,
        )


def settle(split: ThreeWay, grid: Grid, measuring: Measuring) -> Setting:
    """Time every batch, choose the candidates and set the target.

    The target is what the quickest candidate reaches on the three-way split, in the median of
    three seeds of their own, at the step where it had reached the recorded target in the median.

    Args:
        split: The workload.
        grid: Its recorded grid.
        measuring: Measures on this machine.
    """
    recorded = split.recorded
    timing = time_passes(measuring, recorded.workload, recorded.batches)
    card = timed_card(recorded.batches, timing)
    cells, scores = candidate_cells(grid, card)
    found = tuple(
        Candidate(global_batch_size=grid.batch(cell), learning_rate=grid.rate(cell), believed=score)
        for cell, score in zip(cells, scores, strict=True)
    )
    draft = Setting(candidates=found, target=grid.target, timing=timing)
    steps = float(np.median(grid.crossings[cells[0].batch_index, cells[0].rate_index]))
    ends = [
        _end(job_of(split, draft), draft, measuring, seed=seed, steps=math.ceil(steps))
        for seed in range(TARGET_SEEDS)
    ]
    return Setting(candidates=found, target=statistics.median(ends), timing=timing)


def candidate_cells(grid: Grid, card: Card) -> tuple[list[Cell], list[float]]:
    """Choose the cells that are near the best one in time; the rule is that of the constants.

    Args:
        grid: What was recorded.
        card: What a step costs.

    Returns:
        Cells and their mean ln seconds, the quickest first.
    """
    seconds = all_seconds(grid, card)
    scores = np.log(np.minimum(seconds, miss_seconds(seconds))).mean(axis=2)
    chosen: list[Cell] = []
    for flat in np.argsort(scores, axis=None):
        batch_index, rate_index = (int(i) for i in np.unravel_index(int(flat), scores.shape))
        enough = len(chosen) >= LEAST and len({one.batch_index for one in chosen}) > 1
        far = scores[batch_index, rate_index] > scores.min() + math.log(NEAR)
        if len(chosen) == MOST or (far and enough):
            break
        if sum(one.batch_index == batch_index for one in chosen) < MOST_PER_BATCH:
            chosen.append(Cell(batch_index=batch_index, rate_index=rate_index))
    return chosen, [float(scores[one.batch_index, one.rate_index]) for one in chosen]


def job_of(split: ThreeWay, setting: Setting, *, tolerance: float = 0.03) -> Job:
    """Make a job that has timed and planned, and may confirm.

    Args:
        split: The workload.
        setting: What is settled of it.
        tolerance: `sharpness_tolerance` of its objective.
    """
    recorded = split.recorded
    spec = TuningSpec.model_validate({
        "model": dict(recorded.model),
        "dataset": dict(recorded.dataset),
        "training": dict(recorded.training),
        "objective": {
            "kind": "time_to_target",
            "target": setting.target,
            "sharpness_tolerance": tolerance,
        },
        "hardware": {"accelerator": "cpu"},
    })  # fmt: skip
    goal = Goal(kind="time", target=setting.target, cadence_seconds=setting.cadence_seconds)
    plan = Plan(evidence="full", goal=goal, trials=0, confirm_seconds=0.0, predicted_seconds=0.0)
    timing = throughput(recorded.batches, setting.timing)
    return Job(
        spec=spec,
        spec_digest="",
        history=History(),
        findings=Findings(plan=plan, timing=timing),
        capacity=CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1),
    )


def _end(job: Job, draft: Setting, measuring: Measuring, *, seed: int, steps: int) -> float:
    """Train the quickest candidate for so many steps: its smoothed loss there."""
    first = draft.candidates[0]
    request = training_run(
        job,
        f"target-{seed}",
        global_batch_size=first.global_batch_size,
        learning_rate=first.learning_rate,
        seed=job.training_seed("target", seed),
        max_steps=steps,
        cadence_seconds=draft.cadence_seconds,
        target=None,
    )
    result = measuring.measure(request, tightened=lambda: None)
    assert isinstance(result, TrainingResult)  # noqa: S101  (what a training run gives)
    return curve.smoothed(result.curve)[-1]
