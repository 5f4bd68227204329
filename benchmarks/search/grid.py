"""A recorded grid: every batch size, learning rate and seed of a workload, trained once.

The curves were trained for real and recorded with `record.py`; here they answer "train this
batch at this rate with this seed, at most so many steps" in no time. A run ends where the
recording did: at the target, at a divergence, or at the recorder's cap. A run that was asked to
go on beyond the cap stands still at its last smoothed value, and is charged for all its steps.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.search.card import Card
from tuner import curve
from tuner.records import CurvePoint, NoiseWindow, Outcome, TrainingResult

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Cell:
    """One configuration of a grid, by its position on both axes."""

    batch_index: int
    rate_index: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """All recorded runs of one workload.

    Args:
        name: Of the workload.
        batches: Global batch sizes, ascending, shape (nB,).
        rates: Learning rates, ascending, shape (nR,).
        seeds: Seeds, shape (nS,).
        steps: Optimizer step of each evaluation, shape (nB, P); -1 pads.
        curves: Raw metric at each evaluation, shape (nB, nR, nS, P); NaN after the end.
        diverged: Step of the divergence, shape (nB, nR, nS); -1 for none.
        noise_steps: Steps of the noise windows, shape (nB, W).
        noise_small: Mean squared gradient norm of the splits, shape (nB, nR, nS, W).
        noise_big: Squared norm of the mean over the splits, the same shape.
        noise_splits: Splits of a window, shape (nB,).
        meta: How it was recorded.
    """

    name: str
    batches: Integers
    rates: Floats
    seeds: Integers
    steps: Integers
    curves: Floats
    diverged: Integers
    noise_steps: Integers
    noise_small: Floats
    noise_big: Floats
    noise_splits: Integers
    meta: Mapping[str, Any]

    @property
    def target(self) -> float:
        """Value of the metric that every run trained towards."""
        return float(self.meta["target"])

    @property
    def metric(self) -> str:
        """Name of that metric."""
        return str(self.meta["metric"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of batch sizes, rates and seeds."""
        return len(self.batches), len(self.rates), len(self.seeds)

    def cell(self, global_batch_size: float, learning_rate: float) -> Cell:
        """Return the recorded cell that is nearest on both logarithms."""
        return Cell(
            batch_index=_nearest(self.batches, global_batch_size),
            rate_index=_nearest(self.rates, learning_rate),
        )

    def batch(self, cell: Cell) -> int:
        """Global batch size of a cell."""
        return int(self.batches[cell.batch_index])

    def rate(self, cell: Cell) -> float:
        """Learning rate of a cell."""
        return float(self.rates[cell.rate_index])

    @cached_property
    def crossings(self) -> Floats:
        """Steps to the target of every run, shape (nB, nR, nS); infinite where it missed."""
        found = np.full(self.shape, np.inf)
        for index in np.ndindex(*self.shape):
            points = self.recorded(Cell(batch_index=index[0], rate_index=index[1]), index[2])
            steps = curve.crossing_steps(points, self.target, self.metric)
            if steps is not None and self.diverged[index] < 0:
                found[index] = steps
        return found

    @cached_property
    def _read(self) -> dict[tuple[Cell, int], tuple[CurvePoint, ...]]:
        """Runs that were asked for before: searches come back to the same ones."""
        return {}

    def recorded(self, cell: Cell, seed_index: int) -> tuple[CurvePoint, ...]:
        """Every finite evaluation of one run, in order."""
        if (cell, seed_index) not in self._read:
            self._read[cell, seed_index] = self._curve(cell, seed_index)
        return self._read[cell, seed_index]

    def _curve(self, cell: Cell, seed_index: int) -> tuple[CurvePoint, ...]:
        values = self.curves[cell.batch_index, cell.rate_index, seed_index]
        steps = self.steps[cell.batch_index]
        kept = (steps >= 0) & np.isfinite(values)
        return tuple(
            CurvePoint(step=int(step), value=float(value))
            for step, value in zip(steps[kept], values[kept], strict=True)
        )

    def train(
        self,
        cell: Cell,
        seed_index: int,
        *,
        max_steps: int,
        card: Card,
        target: float | None,
        noise_windows: int = 0,
        done_steps: int = 0,
    ) -> TrainingResult:
        """Answer one training run from the recording.

        Args:
            cell: What to train.
            seed_index: Position of the seed.
            max_steps: Optimizer steps at most.
            card: What the steps cost.
            target: Value to reach, or None.
            noise_windows: Split steps at most.
            done_steps: Steps that a checkpoint has behind it; they are not charged again.

        Returns:
            What a device would have answered, in simulated seconds.
        """
        points = self._until(cell, seed_index, max_steps)
        diverged = int(self.diverged[cell.batch_index, cell.rate_index, seed_index])
        crossing = None if target is None else curve.crossing_steps(points, target, self.metric)
        if crossing is not None:
            points = _up_to_crossing(points, crossing)
            outcome, steps = Outcome.REACHED, points[-1].step
        elif 0 <= diverged <= max_steps:
            points = (*points, CurvePoint(step=diverged, value=math.inf))
            outcome, steps = Outcome.DIVERGED, diverged
        else:
            outcome, steps = Outcome.CENSORED, max_steps
        return self.priced(
            cell,
            TrainingResult(
                outcome=outcome,
                steps=steps,
                crossing_steps=crossing,
                curve=points,
                noise=self._noise(cell, seed_index, steps, noise_windows),
                limit_applied=max_steps,
                resumed=done_steps > 0,
            ),
            card,
            done_steps,
        )

    def _until(self, cell: Cell, seed_index: int, max_steps: int) -> tuple[CurvePoint, ...]:
        """Evaluations up to a limit, one at the limit itself included, as a real run has it."""
        points = self.recorded(cell, seed_index)
        kept = [point for point in points if point.step <= max_steps]
        diverged = int(self.diverged[cell.batch_index, cell.rate_index, seed_index])
        if (kept and kept[-1].step == max_steps) or 0 <= diverged <= max_steps:
            return tuple(kept)
        if len(kept) < len(points):
            value = self.between(kept[-1] if kept else None, points[len(kept)], max_steps)
        elif kept:
            value = curve.smoothed(kept)[-1]
        else:
            value = float(self.meta["initial_loss"])
        return (*kept, CurvePoint(step=max_steps, value=value))

    def between(self, before: CurvePoint | None, after: CurvePoint, step: int) -> float:
        """Interpolate the logarithm of the metric between two evaluations.

        Args:
            before: The earlier one; None for the start of the run.
            after: The later one.
            step: Optimizer step between the two.
        """
        start = before or CurvePoint(step=0, value=float(self.meta["initial_loss"]))
        share = (step - start.step) / (after.step - start.step)
        return math.exp((1.0 - share) * math.log(start.value) + share * math.log(after.value))

    def _noise(
        self, cell: Cell, seed_index: int, steps: int, windows: int
    ) -> tuple[NoiseWindow, ...]:
        """Recorded windows up to a step, evenly thinned to the number asked for."""
        splits = int(self.noise_splits[cell.batch_index])
        where = (cell.batch_index, cell.rate_index, seed_index)
        small, big = self.noise_small[where], self.noise_big[where]
        at = self.noise_steps[cell.batch_index]
        known = np.flatnonzero((at <= steps) & np.isfinite(small) & np.isfinite(big))
        if splits < 2 or not windows or not len(known):
            return ()
        thinned = np.unique(np.linspace(0, len(known) - 1, min(windows, len(known))).astype(int))
        return tuple(
            NoiseWindow(
                step=int(at[index]),
                small_batch_size=self.batch(cell) // splits,
                splits=splits,
                small=float(small[index]),
                big=float(big[index]),
            )
            for index in known[thinned]
        )

    def priced(
        self, cell: Cell, result: TrainingResult, card: Card, done_steps: int
    ) -> TrainingResult:
        """Put on a run what it costs on a card.

        Args:
            cell: What was trained.
            result: What it showed.
            card: What steps, evaluations and split steps cost.
            done_steps: Steps that were paid for before.

        Returns:
            The same result in seconds of the card.
        """
        batch = self.batch(cell)
        new_steps = max(0, result.steps - done_steps)
        evaluations = sum(point.step > done_steps for point in result.curve)
        split = sum(
            card.split_seconds(card.plan(batch).micro_batch_size, window.splits)
            for window in result.noise
            if window.step > done_steps
        )
        train, evaluate = (
            new_steps * card.step_seconds(batch),
            evaluations * card.evaluation_seconds,
        )
        return dataclasses.replace(
            result,
            train_seconds=train,
            train_steps=new_steps,
            evaluation_seconds=evaluate,
            device_seconds=train + evaluate + split,
        )


def load(path: Path) -> Grid:
    """Read a grid that `record.py` wrote.

    Args:
        path: An npz file; its name is the workload's.
    """
    with np.load(path) as arrays:
        splits = np.broadcast_to(arrays["noise_splits"], arrays["batches"].shape)
        return Grid(
            name=path.stem,
            batches=arrays["batches"],
            rates=arrays["rates"],
            seeds=arrays["seeds"],
            steps=arrays["steps"],
            curves=arrays["curves"],
            diverged=arrays["diverged"],
            noise_steps=arrays["noise_steps"],
            noise_small=arrays["noise_small"],
            noise_big=arrays["noise_big"],
            noise_splits=splits,
            meta=json.loads(str(arrays["meta"])),
        )


def _nearest(axis: npt.NDArray[Any], value: float) -> int:
    return int(np.argmin(np.abs(np.log(axis) - math.log(value))))


def _up_to_crossing(points: tuple[CurvePoint, ...], crossing: float) -> tuple[CurvePoint, ...]:
    """Drop what comes after the evaluation that saw the crossing."""
    last = next(index for index, point in enumerate(points) if point.step >= crossing)
    return points[: last + 1]
