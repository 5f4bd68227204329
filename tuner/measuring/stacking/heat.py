"""Runs that go side by side, from one common step until the last of them has ended."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from tuner.measuring.checkpoint import checkpoint_name, rescue_name, save
from tuner.measuring.clock import Stopwatch
from tuner.measuring.evaluation import Evaluation
from tuner.measuring.minimum import sharpness_at
from tuner.measuring.noise import split_count, window_steps
from tuner.measuring.stacking.lane import Lane
from tuner.measuring.stacking.look import look
from tuner.measuring.stacking.noise import split_step
from tuner.measuring.stacking.stack import Replica, Stack
from tuner.measuring.step import TrainingStep
from tuner.measuring.train import POLL_SECONDS, RESCUE_SECONDS
from tuner.measuring.workbench import Workbench
from tuner.records import NoiseWindow, Outcome

LOOK_FACTOR: Final = 4
"""An evaluation passes so many micro-batches at once: it keeps nothing for a way back."""

Told = Callable[[str], int | None]
"""From the id of a request to the lowest step limit told since it began, or None."""


class Heat:
    """A stack of runs in progress.

    Args:
        bench: Their workload.
        lanes: The runs, all after equally many steps.
        steps: Their models and optimizers, in the same order.
        told: Asked at evaluations and every 0.2 s.
        began: `time.perf_counter` when the requests came; deadlines count from there.
    """

    def __init__(
        self,
        bench: Workbench,
        lanes: Sequence[Lane],
        steps: Sequence[TrainingStep],
        *,
        told: Told,
        began: float,
    ) -> None:
        first = lanes[0].request
        self.bench = bench
        self.live = list(lanes)
        self.batch = first.plan.global_batch_size
        self.every = first.evaluate_every_steps
        self.step = lanes[0].progress.step
        self._metric = bench.workload.metric
        self._splits = split_count(self.batch, first.measure.noise_splits)
        self._windows = window_steps(first.max_steps, first.measure.noise_windows)
        self._told = told
        allowed = first.deadline_seconds
        self._deadline = float("inf") if allowed is None else began + allowed
        self._next_poll = 0.0
        self._late = False
        self._next_rescue = time.perf_counter() + RESCUE_SECONDS
        replicas = [
            Replica(learning_rate=lane.request.learning_rate, seed=lane.request.seed)
            for lane in lanes
        ]
        self.stack = Stack(bench, replicas, steps)

    def to_the_end(self) -> None:
        """Train until every run has ended; each leaves the stack where it ends."""
        self._begin()
        self._poll()
        while self.live:
            for lane in self.live:
                lane.end_at_limit(late=self._late)
            self._let_go()
            if not self.live:
                return
            self._steps_until(min(self._next_look(), *(lane.limit for lane in self.live)))
            self._look()
            self._poll()
            self._rescue()

    # ------------------------------------------------------------------------- the steps

    def _begin(self) -> None:
        if any(lane.progress.initial_loss is None for lane in self.live):
            for lane, seen in zip(self.live, self._seen(), strict=True):
                if lane.progress.initial_loss is None:
                    lane.begin(seen)
        for lane in self.live:
            if lane.resumed and lane.crossing(self._metric) is not None:
                lane.outcome = Outcome.REACHED

    def _next_look(self) -> int:
        return (self.step // self.every + 1) * self.every

    def _steps_until(self, end: int) -> None:
        """Train up to a step, or until the deadline has passed, or a limit came closer."""
        watch = Stopwatch(self.bench.device)
        taken = 0
        while self.step < min(end, *(lane.limit for lane in self.live)):
            if self.step in self._windows and self._splits is not None:
                watch.stop()
                self._split_step(self._splits)
            else:
                watch.start()
                self.stack.run(self.step * self.batch, self.batch)
                taken += 1
            self.step += 1
            if time.perf_counter() >= self._next_poll:
                self._poll()
                if self._late:
                    break
        watch.stop()
        for lane in self.live:
            lane.progress.step = self.step
            lane.train_steps += taken
            lane.train_seconds += watch.seconds / len(self.live)

    def _split_step(self, splits: int) -> None:
        start = self.step * self.batch
        rows = self.stack.rows(start, self.batch)
        gradients, norms = split_step(self.stack, rows, splits=splits)
        for lane, small, big in zip(self.live, norms.small, norms.big, strict=True):
            window = NoiseWindow(
                step=self.step,
                small_batch_size=self.batch // splits,
                splits=splits,
                small=small,
                big=big,
            )
            lane.progress.noise.append(window)
        self.stack.update(gradients, start, self.batch)

    def _poll(self) -> None:
        now = time.perf_counter()
        self._late = now >= self._deadline
        self._next_poll = min(now + POLL_SECONDS, self._deadline)
        for lane in self.live:
            told = self._told(lane.request.id)
            if told is not None and told < lane.limit:
                lane.limit = max(told, self.step)

    # ------------------------------------------------------------------- the evaluations

    def _look(self) -> None:
        for lane, seen in zip(self.live, self._seen(), strict=True):
            # A limit of one run stops all for a moment; it is a look for that run alone.
            if self.step % self.every == 0 or self._late or self.step >= lane.limit:
                lane.take(seen, self._metric)

    def _seen(self) -> list[Evaluation]:
        watch = Stopwatch(self.bench.device)
        watch.start()
        samples = LOOK_FACTOR * self.stack.micro_batch_size
        seen = look(self.stack, samples_per_pass=samples)
        watch.stop()
        for lane in self.live:
            lane.evaluation_seconds += watch.seconds / len(self.live)
        return seen

    # ----------------------------------------------------------------------- the ends

    def _let_go(self) -> None:
        """Let the runs that have ended leave, each with what it was asked to leave behind."""
        staying = [place for place, lane in enumerate(self.live) if lane.outcome is None]
        if len(staying) == len(self.live):
            return
        for place, lane in enumerate(self.live):
            if lane.outcome is not None:
                self._finish(lane, place)
        self.live = [self.live[place] for place in staying]
        if staying:
            self.stack.keep(staying)

    def _finish(self, lane: Lane, place: int) -> None:
        request = lane.request
        with suppress(OSError):
            (self.bench.places.artifacts / rescue_name(request)).unlink(missing_ok=True)
        wanted = request.checkpoint or request.measure.sharpness
        if lane.outcome is Outcome.DIVERGED or not wanted:
            return
        alone = self.stack.lone(place)
        if request.checkpoint:
            name = checkpoint_name(request, lane.progress.step)
            lane.checkpoint = self._save(lane, alone, name)
        if request.measure.sharpness:
            lane.sharpness = sharpness_at(self.bench, alone.model)

    def _rescue(self) -> None:
        """Leave what a second attempt goes on from, side by side or one after the other."""
        if time.perf_counter() < self._next_rescue:
            return
        for place, lane in enumerate(self.live):
            if lane.outcome is None:
                self._save(lane, self.stack.lone(place), rescue_name(lane.request))
        self._next_rescue = time.perf_counter() + RESCUE_SECONDS

    def _save(self, lane: Lane, alone: TrainingStep, name: str) -> str | None:
        """Leave a checkpoint; a disk that does not take it costs time later, not the run."""
        try:
            save(self.bench.places.artifacts / name, lane.request, alone, lane.progress)
        except (OSError, RuntimeError, pickle.PicklingError):
            return None
        return name
