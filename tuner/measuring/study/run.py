"""A study's run: one batch size at one rate, trained until its validation loss has its minimum.

Epochs are the study's clock. Where the batch does not divide the data the order of samples goes
on across epochs, and an epoch is evaluated at the first step at or beyond its end.

A run has diverged where a loss is not finite, or the training loss exceeds three times its
first value. The validation loss may rise further than that: overfitting is what a study looks
for.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from torch import Tensor

from tuner.measuring.batches import SampleOrder
from tuner.measuring.clock import Stopwatch
from tuner.measuring.evaluation import DIVERGENCE_FACTOR
from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.random_state import derived_seed
from tuner.measuring.step import TrainingStep
from tuner.measuring.study import attempt, minimiser
from tuner.measuring.study.attempt import Progress
from tuner.measuring.study.losses import Losses, losses_of
from tuner.measuring.study.room import SAMPLES_PER_PASS, with_room
from tuner.measuring.study.travel import EpochTravel, Travel, looked_at
from tuner.measuring.workbench import Workbench
from tuner.records import EpochPoint, StudyOutcome, StudyRun, StudyRunResult
from tuner.workloads.randomness import seeded

POLL_SECONDS: Final = 0.2
"""How often a run looks at its deadline, between evaluations."""

RESCUE_SECONDS: Final = 180.0
"""How often a run leaves its state for a second attempt, should this one be lost."""

Tightened = Callable[[], int | None]
"""The lowest step limit told since the request began, or None."""


def run_to_minimum(
    load_bench: Callable[[], Workbench], request: StudyRun, *, tightened: Tightened, began: float
) -> StudyRunResult:
    """Train until the validation loss has not improved for the run's patience.

    Args:
        load_bench: Sets the workload up, or has it warm.
        request: What to train.
        tightened: Asked after epochs and every 0.2 s; a run stops at a limit as at its deadline.
        began: `time.perf_counter` when the request came; its deadline counts from there.

    Returns:
        What the run showed; out of memory is an outcome like the others.
    """
    run: _Run | None = None
    try:
        bench = load_bench()
        with seeded(derived_seed(request.seed, "run")):
            run = _Run(bench, request, tightened, began)
            return run.result(run.to_its_end())
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        forget(error)
    if run is None:
        return StudyRunResult(outcome=StudyOutcome.OUT_OF_MEMORY, points=(), minimum=None)
    return run.result(StudyOutcome.OUT_OF_MEMORY)


class _Run:
    """One run in progress."""

    def __init__(
        self, bench: Workbench, request: StudyRun, tightened: Tightened, began: float
    ) -> None:
        self.bench = bench
        self.request = request
        self.progress = Progress()
        self.resumed = False
        self.minimiser: str | None = None
        self.train_steps = 0
        self.training = Stopwatch(bench.device)
        self.evaluating = Stopwatch(bench.device)
        self._tightened = tightened
        allowed = request.deadline_seconds
        self._deadline = math.inf if allowed is None else began + allowed
        self._stopped = False
        self._looks = True
        self._next_poll = 0.0
        self._next_rescue = time.perf_counter() + RESCUE_SECONDS
        self._order = SampleOrder(len(bench.train), request.seed, bench.train.home)
        self._step = TrainingStep(
            bench,
            bench.model(request.seed),
            micro_batch_size=request.micro_batch_size,
            learning_rate=request.learning_rate,
        )
        self._travel = Travel(self._step.model)

    # ------------------------------------------------------------------------- the whole

    def to_its_end(self) -> StudyOutcome:
        """Train, then leave the weights at the minimum if they were asked for."""
        folder = self.bench.places.artifacts
        found = attempt.load(folder, self.request, self._step, self._travel)
        if found is not None:
            self.progress, self.resumed = found, True
        outcome = self._train()
        if outcome is not StudyOutcome.DIVERGED and self.request.keep_minimiser:
            self._keep_minimiser()
        with suppress(OSError):
            (folder / attempt.attempt_name(self.request)).unlink(missing_ok=True)
        return outcome

    def result(self, outcome: StudyOutcome) -> StudyRunResult:
        """State what the run has shown so far."""
        self.training.stop()
        self.evaluating.stop()
        progress = self.progress
        layers = () if progress.minimum is None else self._travel.layers(progress.weights)
        return StudyRunResult(
            outcome=outcome,
            points=tuple(progress.points),
            minimum=progress.minimum,
            layers=layers,
            minimiser=self.minimiser,
            train_seconds=self.training.seconds,
            train_steps=self.train_steps,
            evaluation_seconds=self.evaluating.seconds,
            resumed=self.resumed,
        )

    def _train(self) -> StudyOutcome:
        if not self.progress.points:
            self._look(None)
        self._poll()
        while True:
            ended = self._ended()
            if ended is not None:
                return ended
            end = self._next_epoch_end()
            self._steps_until(end)
            if self.progress.step == end:
                self._look(self._travel.close_epoch())
                self._poll()
                self._rescue()

    def _ended(self) -> StudyOutcome | None:
        progress, request = self.progress, self.request
        first, last = progress.points[0], progress.points[-1]
        finite = math.isfinite(last.train_loss) and math.isfinite(last.validation_loss)
        if not finite or last.train_loss > DIVERGENCE_FACTOR * first.train_loss:
            return StudyOutcome.DIVERGED
        since = len(progress.points) - 1 - (progress.minimum or 0)
        if since >= request.patience_epochs:
            return StudyOutcome.CONVERGED
        if self._stopped or len(progress.points) > request.max_epochs:
            return StudyOutcome.EXHAUSTED
        return None

    def _next_epoch_end(self) -> int:
        """The first step at or beyond the end of the epoch after those that have passed."""
        batch, samples = self.request.global_batch_size, len(self.bench.train)
        passed = self.progress.step * batch // samples
        return -(-(passed + 1) * samples // batch)

    # ------------------------------------------------------------------------- the steps

    def _steps_until(self, end: int) -> None:
        """Train to the end of an epoch, or until a limit or the deadline has passed."""
        progress, batch = self.progress, self.request.global_batch_size
        samples = len(self.bench.train)
        epoch = progress.step * batch // samples
        watched = looked_at(-(-epoch * samples // batch), end)
        self.training.start()
        while progress.step < end:
            before = progress.step * batch
            rows = self._order.rows(before, batch)
            if self._looks and progress.step in watched:
                self._watched_step(rows, before)
            else:
                self._step.run(rows, before)
            self.train_steps += 1
            progress.step += 1
            if time.perf_counter() >= self._next_poll:
                self._poll()
                if self._stopped:
                    break
                # At its end an epoch is looked at first: its point belongs to the state.
                if progress.step < end and self._rescue_is_due:
                    self.training.stop()
                    self._rescue()
                    self.training.start()
        self.training.stop()

    def _watched_step(self, rows: Tensor, before: int) -> None:
        """Take a step and its norms, these off the clock."""
        self._step.accumulate(rows)
        self.training.stop()
        try:
            self._travel.before_update()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # Where there is no room for a copy of the weights the run goes on without norms.
            forget(error)
            self._looks = False
        if not self._looks:
            release(self.bench.device)
        self.training.start()
        self._step.update(before, self.request.global_batch_size)
        self.training.stop()
        self._travel.after_update()
        self.training.start()

    def _poll(self) -> None:
        now = time.perf_counter()
        told = self._tightened()
        limited = told is not None and self.progress.step >= told
        self._stopped = self._stopped or limited or now >= self._deadline
        self._next_poll = min(now + POLL_SECONDS, self._deadline)

    @property
    def _rescue_is_due(self) -> bool:
        return time.perf_counter() >= self._next_rescue

    def _rescue(self) -> None:
        """Leave the state, now and then; a disk that does not take it costs time later only."""
        if not self._rescue_is_due:
            return
        folder = self.bench.places.artifacts
        with suppress(OSError, RuntimeError, pickle.PicklingError):
            attempt.save(folder, self.request, self._step, self._travel, self.progress)
        self._next_rescue = time.perf_counter() + RESCUE_SECONDS

    # ------------------------------------------------------------------- the evaluations

    def _look(self, travel: EpochTravel | None) -> None:
        """Add the point of an epoch; where it is the lowest one, keep the weights."""
        self.evaluating.start()
        losses = with_room(
            self.bench.device,
            max(self.request.micro_batch_size, SAMPLES_PER_PASS),
            lambda samples: losses_of(self.bench, self._step.model, samples_per_pass=samples),
        )
        progress = self.progress
        progress.points.append(self._point(losses, travel))
        known = progress.minimum
        lowest = math.inf if known is None else progress.points[known].validation_loss
        if losses.validation < lowest:
            progress.minimum = len(progress.points) - 1
            progress.weights = minimiser.held(self._step.model)
        self.evaluating.stop()

    def _point(self, losses: Losses, travel: EpochTravel | None) -> EpochPoint:
        step = self.progress.step
        return EpochPoint(
            epoch=step * self.request.global_batch_size / len(self.bench.train),
            step=step,
            train_loss=losses.train,
            validation_loss=losses.validation,
            validation_metric=losses.accuracy,
            distance=0.0 if travel is None else travel.distance,
            epoch_distance=None if travel is None else travel.epoch_distance,
            update_norm=None if travel is None else travel.update_norm,
            gradient_norm=None if travel is None else travel.gradient_norm,
        )

    def _keep_minimiser(self) -> None:
        """Leave the weights at the minimum; a disk that takes none costs the figures of them."""
        if self.progress.minimum is not None:
            with suppress(OSError, RuntimeError, pickle.PicklingError):
                self.minimiser = minimiser.save(self.bench.places.artifacts, self.progress.weights)
