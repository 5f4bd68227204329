"""All runs of one batch size, trained side by side: every learning rate with every seed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.search.workloads import NOISE_SPLITS, Recorded
from tuner.curve import crossing_steps
from tuner.measuring.noise import split_count
from tuner.measuring.stacking.look import look
from tuner.measuring.stacking.noise import split_step
from tuner.measuring.stacking.stack import Replica, Stack
from tuner.measuring.workbench import Workbench
from tuner.records import CurvePoint

CAP: Final = 3
"""Runs end at so many times the steps of the batch's best rate."""

MAX_EVALUATIONS: Final = 400
"""Where no rate reaches the target, runs end after so many evaluations."""

PASS_SIZE: Final = 64
"""Samples per pass and replica: what fits the processor's cache."""

FIRST_WINDOW: Final = 3
WINDOW_EVERY: Final = 6
"""Noise is measured after the third evaluation, and after every sixth one from there."""


@dataclass(slots=True, kw_only=True)
class Course:
    """What one run has shown.

    Args:
        initial_loss: Before its first step.
        curve: Evaluations so far.
        diverged: Step at which it diverged, -1 if it did not.
        reached: Whether the smoothed curve has crossed the target.
        noise: From the place of a window to its two norms, small and big.
    """

    initial_loss: float
    curve: list[CurvePoint] = field(default_factory=list)
    diverged: int = -1
    reached: bool = False
    noise: dict[int, tuple[float, float]] = field(default_factory=dict)


def record_batch(
    bench: Workbench, recorded: Recorded, batch: int, seeds: Sequence[int]
) -> dict[str, np.ndarray]:
    """Train all learning rates and seeds of one batch size until each has come to its end.

    A run ends where it reaches the target or diverges, as `tuner.measuring.train` ends it, or
    at the cap: three times the step at which a first learning rate had more than half of its
    seeds at the target.

    Args:
        bench: The workload, set up.
        recorded: Its rates, target and cadence.
        batch: Samples per optimizer step.
        seeds: One run for each of them and each rate.

    Returns:
        The arrays of the grid's file without their first axis, and `seconds`.
    """
    began = time.perf_counter()
    lot = _Lot(bench, recorded, batch, seeds)
    lot.to_the_end()
    return {**lot.arrays(), "seconds": np.array(time.perf_counter() - began)}


class _Lot:
    """The runs of one batch size in progress."""

    def __init__(
        self, bench: Workbench, recorded: Recorded, batch: int, seeds: Sequence[int]
    ) -> None:
        self.recorded = recorded
        self.batch = batch
        self.seeds = tuple(seeds)
        self.every = recorded.cadence[recorded.batches.index(batch)]
        self.splits = split_count(batch, NOISE_SPLITS)
        replicas = [
            Replica(learning_rate=rate, seed=seed) for rate in recorded.rates for seed in seeds
        ]
        self.stack = Stack.fresh(bench, replicas, micro_batch_size=PASS_SIZE)
        self.courses = [
            Course(initial_loss=seen.loss) for seen in look(self.stack, samples_per_pass=PASS_SIZE)
        ]
        # Those that are still in the stack, in its order.
        self.alive = list(range(len(replicas)))
        self.evaluations = 0
        self.windows = 0
        self.cap: int | None = None

    def to_the_end(self) -> None:
        """Train until no run is left or the cap is reached."""
        while self.alive and self.evaluations < MAX_EVALUATIONS:
            if self.cap is not None and self.evaluations * self.every >= self.cap:
                break
            self._to_the_next_evaluation()
            self._look()

    def _to_the_next_evaluation(self) -> None:
        with_window = self.evaluations % WINDOW_EVERY == FIRST_WINDOW
        for number in range(self.every):
            start = (self.evaluations * self.every + number) * self.batch
            if number == 0 and with_window and self.splits is not None:
                self._split_step(start, self.splits)
            else:
                self.stack.run(start, self.batch)
        self.evaluations += 1

    def _split_step(self, start: int, splits: int) -> None:
        rows = self.stack.rows(start, self.batch)
        gradients, window = split_step(self.stack, rows, splits=splits)
        for run, small, big in zip(self.alive, window.small, window.big, strict=True):
            self.courses[run].noise[self.windows] = (small, big)
        self.windows += 1
        self.stack.update(gradients, start, self.batch)

    def _look(self) -> None:
        step = self.evaluations * self.every
        for run, seen in zip(self.alive, look(self.stack, samples_per_pass=PASS_SIZE), strict=True):
            course = self.courses[run]
            course.curve.append(CurvePoint(step=step, value=seen.value))
            if seen.diverged_from(course.initial_loss):
                course.diverged = step
            else:
                crossing = crossing_steps(course.curve, self.recorded.target, "validation_loss")
                course.reached = crossing is not None
        self._cap_where_most_have_reached(step)
        self._let_go()

    def _cap_where_most_have_reached(self, step: int) -> None:
        if self.cap is not None:
            return
        width = len(self.seeds)
        for rate in range(len(self.recorded.rates)):
            of_rate = self.courses[rate * width : (rate + 1) * width]
            if sum(course.reached for course in of_rate) > width // 2:
                self.cap = CAP * step

    def _let_go(self) -> None:
        staying = [
            place
            for place, run in enumerate(self.alive)
            if not self.courses[run].reached and self.courses[run].diverged < 0
        ]
        if len(staying) == len(self.alive):
            return
        self.alive = [self.alive[place] for place in staying]
        if staying:
            self.stack.keep(staying)

    def arrays(self) -> dict[str, np.ndarray]:
        """State what was seen, as arrays of the grid's file."""
        cells = (len(self.recorded.rates), len(self.seeds))
        curves = np.full((len(self.courses), self.evaluations), math.nan, dtype=np.float32)
        noise = np.full((len(self.courses), 2, self.windows), math.nan, dtype=np.float32)
        for place, course in enumerate(self.courses):
            values = [point.value for point in course.curve]
            curves[place, : len(values)] = values
            for window, norms in course.noise.items():
                noise[place, :, window] = norms
        diverged = np.array([course.diverged for course in self.courses], dtype=np.int32)
        split_evaluations = FIRST_WINDOW + WINDOW_EVERY * np.arange(self.windows)
        return {
            "steps": self.every * np.arange(1, self.evaluations + 1, dtype=np.int32),
            "curves": curves.reshape(*cells, -1),
            "diverged": diverged.reshape(cells),
            "noise_steps": (self.every * split_evaluations).astype(np.int32),
            "noise_small": noise[:, 0].reshape(*cells, -1),
            "noise_big": noise[:, 1].reshape(*cells, -1),
            "noise_splits": np.array(self.splits or 0, dtype=np.int64),
            "initial_losses": np.array([c.initial_loss for c in self.courses[: len(self.seeds)]]),
            "cap": np.array(self.cap if self.cap is not None else -1),
        }
