"""The training runner: one configuration, from its start or a checkpoint to its end."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch

from tuner.curve import crossing_steps
from tuner.measuring.batches import SampleOrder
from tuner.measuring.checkpoint import NAME, Progress, checkpoint_name, load, rescue_name, save
from tuner.measuring.clock import Stopwatch
from tuner.measuring.evaluation import Evaluation, evaluate
from tuner.measuring.minimum import sharpness_at
from tuner.measuring.noise import split_count, split_step, window_steps
from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.random_state import derived_seed
from tuner.measuring.step import TrainingStep
from tuner.measuring.workbench import Workbench
from tuner.records import CurvePoint, Outcome, Sharpness, TrainingResult, TrainingRun
from tuner.workloads.randomness import seeded

POLL_SECONDS: Final = 0.2
"""How often a run asks for a tighter limit and looks at its deadline, between evaluations."""

RESCUE_SECONDS: Final = 180.0
"""How often a run leaves a checkpoint for a second attempt, should this one be lost."""

Tightened = Callable[[], int | None]
"""The lowest step limit told since the request began, or None."""


def train(
    load_bench: Callable[[], Workbench],
    request: TrainingRun,
    *,
    tightened: Tightened,
    began: float,
) -> TrainingResult:
    """Train one configuration until it reaches its target, its limit or its end.

    Args:
        load_bench: Sets the workload up, or has it warm.
        request: What to train.
        tightened: Asked at evaluations and every 0.2 s.
        began: `time.perf_counter` when the request came; its deadline counts from there.

    Returns:
        What the run showed; out of memory is an outcome like the others.
    """
    run: _Run | None = None
    try:
        bench = load_bench()
        with seeded(derived_seed(request.seed, "run")):
            run = _Run(bench, request, tightened, began)
            outcome = run.to_its_end()
            return run.result(outcome)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        forget(error)
    return _ran_out(run, request)


def _ran_out(run: _Run | None, request: TrainingRun) -> TrainingResult:
    if run is None:
        return TrainingResult(
            outcome=Outcome.OUT_OF_MEMORY,
            steps=0,
            crossing_steps=None,
            curve=(),
            limit_applied=request.max_steps,
        )
    return run.result(Outcome.OUT_OF_MEMORY)


class _Run:
    """One training run in progress."""

    def __init__(
        self, bench: Workbench, request: TrainingRun, tightened: Tightened, began: float
    ) -> None:
        self.bench = bench
        self.request = request
        self.batch = request.plan.global_batch_size
        self.limit = request.max_steps
        self.progress = Progress()
        self.resumed = False
        self.last_point: CurvePoint | None = None
        self.sharpness: Sharpness | None = None
        self.checkpoint: str | None = None
        self.train_steps = 0
        self.training = Stopwatch(bench.device)
        self.evaluating = Stopwatch(bench.device)
        self._tightened = tightened
        allowed = request.deadline_seconds
        self._deadline = float("inf") if allowed is None else began + allowed
        self._late = False
        self._next_poll = 0.0
        self._next_rescue = time.perf_counter() + RESCUE_SECONDS
        self._splits = split_count(self.batch, request.measure.noise_splits)
        self._windows = window_steps(request.max_steps, request.measure.noise_windows)
        self._order = SampleOrder(len(bench.train), request.seed, bench.train.home)
        if bench.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(bench.device)
        self._step = TrainingStep(
            bench,
            bench.model(request.seed),
            micro_batch_size=request.plan.micro_batch_size,
            learning_rate=request.learning_rate,
        )

    # ------------------------------------------------------------------------- the whole

    def to_its_end(self) -> Outcome:
        """Train, then leave the checkpoint and measure the sharpness that were asked for."""
        self._resume()
        outcome = self._train()
        if outcome is not Outcome.DIVERGED:
            if self.request.checkpoint:
                self.checkpoint = self._save(checkpoint_name(self.request, self.progress.step))
            if self.request.measure.sharpness:
                self.sharpness = sharpness_at(self.bench, self._step.model)
        with suppress(OSError):
            self._rescue_path.unlink(missing_ok=True)
        return outcome

    def result(self, outcome: Outcome) -> TrainingResult:
        """State what the run has shown so far."""
        self.training.stop()
        self.evaluating.stop()
        curve = self._curve()
        return TrainingResult(
            outcome=outcome,
            steps=self.progress.step,
            crossing_steps=self._crossing() if outcome is Outcome.REACHED else None,
            curve=curve,
            noise=tuple(self.progress.noise),
            sharpness=self.sharpness,
            train_seconds=self.training.seconds,
            train_steps=self.train_steps,
            evaluation_seconds=self.evaluating.seconds,
            limit_applied=self.limit,
            peak_bytes=self._peak_bytes(),
            checkpoint=self.checkpoint,
            resumed=self.resumed,
        )

    # ------------------------------------------------------------------------- the steps

    def _train(self) -> Outcome:
        progress, every = self.progress, self.request.evaluate_every_steps
        if progress.initial_loss is None:
            initial = self._evaluate()
            progress.initial_loss = initial.loss
            if initial.diverged_from(initial.loss):
                return Outcome.DIVERGED
        elif self._crossing() is not None:
            return Outcome.REACHED
        self._poll()
        while progress.step < self.limit and not self._late:
            self._steps_until((progress.step // every + 1) * every)
            point, outcome = self._look()
            if progress.step % every == 0:
                progress.curve.append(point)
            else:
                self.last_point = point
            outcome = outcome or (Outcome.REACHED if self._crossing() is not None else None)
            if outcome is not None:
                return outcome
            self._poll()
            self._rescue()
        return Outcome.CENSORED

    def _steps_until(self, end: int) -> None:
        """Train up to a step, or to the limit, or until the deadline has passed."""
        progress, batch, step, order = self.progress, self.batch, self._step, self._order
        self.training.start()
        while progress.step < min(end, self.limit):
            if progress.step in self._windows and self._splits is not None:
                self._split_step(self._splits)
            else:
                before = progress.step * batch
                step.run(order.rows(before, batch), before)
                self.train_steps += 1
            progress.step += 1
            if time.perf_counter() >= self._next_poll:
                self._poll()
                if self._late:
                    break
        self.training.stop()

    def _split_step(self, splits: int) -> None:
        """Take a step with its noise window, off the clock."""
        self.training.stop()
        before = self.progress.step * self.batch
        rows = self._order.rows(before, self.batch)
        if not self._window(rows, splits):
            # A window needs a second gradient. Where there is no room for it the step is
            # taken as usual, and no window is tried again.
            self._windows = frozenset()
            self._step.optimizer.zero_grad(set_to_none=True)
            release(self.bench.device)
            self._step.accumulate(rows)
        self._step.update(before, self.batch)
        self.training.start()

    def _window(self, rows: torch.Tensor, splits: int) -> bool:
        try:
            window = split_step(self._step, rows, splits=splits, at=self.progress.step)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            forget(error)
            return False
        self.progress.noise.append(window)
        return True

    def _poll(self) -> None:
        now = time.perf_counter()
        self._late = now >= self._deadline
        self._next_poll = min(now + POLL_SECONDS, self._deadline)
        told = self._tightened()
        if told is not None and told < self.limit:
            self.limit = max(told, self.progress.step)

    # ------------------------------------------------------------------- the evaluations

    def _look(self) -> tuple[CurvePoint, Outcome | None]:
        seen = self._evaluate()
        initial = self.progress.initial_loss
        diverged = initial is not None and seen.diverged_from(initial)
        point = CurvePoint(step=self.progress.step, value=seen.value)
        return point, Outcome.DIVERGED if diverged else None

    def _evaluate(self) -> Evaluation:
        self.evaluating.start()
        seen = evaluate(
            self.bench,
            self._step.model,
            samples_per_pass=self.request.plan.micro_batch_size,
        )
        self.evaluating.stop()
        return seen

    def _curve(self) -> tuple[CurvePoint, ...]:
        """All evaluations; one off the cadence, where the run ended, is not carried on."""
        last = () if self.last_point is None else (self.last_point,)
        return (*self.progress.curve, *last)

    def _crossing(self) -> float | None:
        if self.request.target is None:
            return None
        return crossing_steps(self._curve(), self.request.target, self.bench.workload.metric)

    # ------------------------------------------------------------------- the checkpoints

    @property
    def _rescue_path(self) -> Path:
        return self.bench.places.artifacts / rescue_name(self.request)

    def _resume(self) -> None:
        folder, name = self.bench.places.artifacts, self.request.resume_from
        paths = [self._rescue_path]
        if name is not None and NAME.fullmatch(name):
            paths.append(folder / name)
        for path in paths:
            found = load(path, self.request, self._step) if path.exists() else None
            if found is not None:
                self.progress, self.resumed = found, True
                return

    def _save(self, name: str) -> str | None:
        """Leave a checkpoint; a disk that does not take it costs time later, not the run."""
        path = self.bench.places.artifacts / name
        try:
            save(path, self.request, self._step, self.progress)
        except (OSError, RuntimeError, pickle.PicklingError):
            return None
        return name

    def _rescue(self) -> None:
        if time.perf_counter() >= self._next_rescue:
            self._save(self._rescue_path.name)
            self._next_rescue = time.perf_counter() + RESCUE_SECONDS

    def _peak_bytes(self) -> int | None:
        if self.bench.device.type != "cuda":
            return None
        return int(torch.cuda.max_memory_allocated(self.bench.device))
