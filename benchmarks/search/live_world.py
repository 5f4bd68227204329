"""The device of the replay, but with real training: the same cells and seeds, trained anew.

Whatever a job asks for is snapped to the recorded cell and seed, as the replay does it, and then
trained by the measuring that every job uses. The recording answers each request too, so that
every run is held against its twin, whatever becomes of the search.

Two things are set as the recorder set them, since they are not what is compared here: the
cadence of evaluation, which the smoothing of curves depends on, and which steps are split for
the noise scale.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

import numpy as np

from benchmarks.search.grid import Cell
from benchmarks.search.world import GridWorld
from tuner import curve
from tuner.measuring import train
from tuner.measuring.dispatch import Measuring
from tuner.records import (
    BatchPlan,
    CurvePoint,
    Inspect,
    Measure,
    Measurement,
    MemoryReplay,
    MemoryTrace,
    MemoryTrial,
    NoiseWindow,
    Outcome,
    Request,
    StepTiming,
    TrainingResult,
    TrainingRun,
    Workload,
)

SAME: Final = 1e-4
"""Relative difference of losses, and of steps to the target, that is one of rounding alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """One training request, and what the two paths answered.

    Args:
        request: As the job asked for it.
        cell: What it was snapped to.
        seed_index: Position of its seed in the grid.
        every: Steps between evaluations.
        recorded_until: Last evaluation of the recording.
        live: What real training showed.
        replayed: What the recording answers.
        wall_seconds: Of the real training, evaluations and set-up included; 0 where none was.
    """

    request: TrainingRun
    cell: Cell
    seed_index: int
    every: int
    recorded_until: int
    live: TrainingResult
    replayed: TrainingResult
    wall_seconds: float

    def facts(self) -> dict[str, Any]:
        """State it as plain JSON."""
        live, replayed = self.live, self.replayed
        return {
            "id": self.request.id,
            "global_batch_size": self.request.plan.global_batch_size,
            "learning_rate": self.request.learning_rate,
            "seed_index": self.seed_index,
            "max_steps": replayed.limit_applied,
            "recorded_until": self.recorded_until,
            "outcome": {"live": str(live.outcome), "replayed": str(replayed.outcome)},
            "crossing_steps": {"live": live.crossing_steps, "replayed": replayed.crossing_steps},
            "ln_crossing_difference": self.crossing_difference,
            "largest_loss_difference": self.loss_difference,
            "cause": self.cause,
            "wall_seconds": round(self.wall_seconds, 3),
        }

    @property
    def crossing_difference(self) -> float | None:
        """By how much ln steps to the target differ; None where not both got there."""
        live, replayed = self.live.crossing_steps, self.replayed.crossing_steps
        return None if live is None or replayed is None else math.log(live / replayed)

    @property
    def cause(self) -> str | None:
        """Why the two differ; None where they agree within `SAME`.

        The recording ends at its cap, and stands still where a search goes on; where a limit
        lies between two evaluations the recording interpolates, and training is evaluated; and
        two float computations of one training drift apart.
        """
        live, replayed = self.live, self.replayed
        ends = [curve.smoothed(one.curve)[-1] if one.curve else 0.0 for one in (live, replayed)]
        same_end = ends[0] == ends[1] or abs(ends[0] - ends[1]) < SAME * abs(ends[1])
        same_crossing = abs(self.crossing_difference or 0.0) < SAME
        if live.outcome is replayed.outcome and same_end and same_crossing:
            return None
        if self.loss_difference >= SAME:
            return "rounding"
        if replayed.steps > self.recorded_until:
            return "beyond the recording"
        return "between evaluations"

    @property
    def loss_difference(self) -> float:
        """Largest relative difference at evaluations that both have; 0 where they have none."""
        known = {point.step: point.value for point in self.replayed.curve if self._is_seen(point)}
        pairs = [(p.value, known[p.step]) for p in self.live.curve if p.step in known]
        finite = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
        return max((abs(a - b) / abs(b) for a, b in finite), default=0.0)

    def _is_seen(self, point: CurvePoint) -> bool:
        """Whether the recorder evaluated there, or only the replay has a value."""
        return point.step % self.every == 0 and point.step <= self.recorded_until


@dataclass(slots=True, kw_only=True)
class LiveWorld(GridWorld):
    """What a tuning measures, trained for real at the recorded cells and seeds.

    Args:
        measuring: Measures what is real.
        workload: What was recorded.
        as_recorded: Whether a limit between two evaluations is read as the replay reads it,
            interpolated, and not evaluated as every job does. What is left is rounding alone.
        own_clock: Whether inspection, memory, timing and seconds are the machine's own, too. What
            comes before the training is then not charged: it would outweigh training of seconds.
        twins: Every run, beside what the recording says of it.
        probed: Answers before the training, by request, where the clock is the machine's own.
    """

    measuring: Measuring
    workload: Workload
    as_recorded: bool = False
    own_clock: bool = False
    twins: list[Twins] = field(default_factory=list)
    probed: dict[str, Measurement] = field(default_factory=dict)
    _left: dict[str, str] = field(default_factory=dict)

    def measure(self, request: Request) -> Measurement:
        """Answer one request.

        The recording was trained side by side, and here runs are trained one by one: no stack is
        told to gain anything, so a job asks for none.
        """
        probing = Inspect | MemoryTrial | MemoryTrace | MemoryReplay | StepTiming
        if not self.own_clock or not isinstance(request, probing):
            return GridWorld.measure(self, request)
        real = dataclasses.replace(request, workload=self.workload)
        answer = self.measuring.measure(real, tightened=lambda: None)
        self.probed[request.id] = dataclasses.replace(answer, device_seconds=0.0)
        return self.probed[request.id]

    def _train(self, request: TrainingRun) -> TrainingResult:
        # The recording knows no names of files: its checkpoints go by the requests that left them.
        before = self._left.get(request.resume_from or "")
        replayed = GridWorld._train(self, dataclasses.replace(request, resume_from=before))  # noqa: SLF001 - its own base class
        cell = self.grid.cell(request.plan.global_batch_size, request.learning_rate)
        seed_index = self._seed_index(request.seed)
        done = self._checkpoints.get(before or "", 0)
        real = self._real(request, cell, seed_index, replayed.limit_applied)
        with recorded_windows(self._windows(cell) if request.measure.noise_windows else ()):
            live = self.measuring.measure(self._asked(real), tightened=lambda: None)
        if not isinstance(live, TrainingResult):
            raise TypeError(f"a training run gave {type(live).__name__}")
        if live.checkpoint is not None:
            self._left[live.checkpoint] = request.id
        wall = live.device_seconds
        live = self._cut(live, real)
        live = dataclasses.replace(live, noise=thinned(live.noise, request.measure))
        if not self.own_clock:
            live = self.grid.priced(cell, live, self.card, done)
        self.twins.append(
            Twins(
                request=request,
                cell=cell,
                seed_index=seed_index,
                every=real.evaluate_every_steps,
                recorded_until=self.grid.recorded(cell, seed_index)[-1].step,
                live=live,
                replayed=replayed,
                wall_seconds=wall,
            )
        )
        return live

    def _real(self, request: TrainingRun, cell: Cell, seed_index: int, limit: int) -> TrainingRun:
        """Make the request that trains the recorded cell, to the limit of the replay."""
        batch = self.grid.batch(cell)
        plan = request.plan
        if plan.global_batch_size != batch:
            plan = BatchPlan(micro_batch_size=batch)
        return dataclasses.replace(
            request,
            workload=self.workload,
            plan=plan,
            learning_rate=self.grid.rate(cell),
            seed=int(self.grid.seeds[seed_index]),
            max_steps=limit,
            evaluate_every_steps=int(self.grid.steps[cell.batch_index, 0]),
            deadline_seconds=None,
            measure=dataclasses.replace(request.measure, sharpness=False),
        )

    def _asked(self, real: TrainingRun) -> TrainingRun:
        """Ask for the evaluation after the limit, where the limit is to be interpolated to."""
        every = real.evaluate_every_steps
        if not self.as_recorded or real.max_steps % every == 0:
            return real
        return dataclasses.replace(real, max_steps=(real.max_steps // every + 1) * every)

    def _cut(self, live: TrainingResult, real: TrainingRun) -> TrainingResult:
        """Read a run at the limit that it was asked to go beyond."""
        limit = real.max_steps
        if live.limit_applied <= limit or live.steps <= limit:
            return dataclasses.replace(live, limit_applied=limit)
        *kept, last = live.curve
        value = self.grid.between(kept[-1] if kept else None, last, limit)
        points = (*kept, CurvePoint(step=limit, value=value))
        crossing = None
        if real.target is not None:
            crossing = curve.crossing_steps(points, real.target, self.grid.metric)
        return dataclasses.replace(
            live,
            outcome=Outcome.CENSORED if crossing is None else Outcome.REACHED,
            steps=limit,
            crossing_steps=crossing,
            curve=points,
            limit_applied=limit,
            noise=tuple(window for window in live.noise if window.step <= limit),
        )

    def _windows(self, cell: Cell) -> tuple[int, ...]:
        steps = self.grid.noise_steps[cell.batch_index]
        return tuple(int(step) for step in steps[steps > 0])


def thinned(windows: tuple[NoiseWindow, ...], wanted: Measure) -> tuple[NoiseWindow, ...]:
    """Keep as many windows as were asked for, evenly, as the replay does."""
    if not windows or not wanted.noise_windows:
        return ()
    count = min(wanted.noise_windows, len(windows))
    kept = np.unique(np.linspace(0, len(windows) - 1, count).astype(int))
    return tuple(windows[index] for index in kept)


@contextlib.contextmanager
def recorded_windows(steps: tuple[int, ...]) -> Iterator[None]:
    """Have training runs split these steps, not those that they would choose themselves."""
    with mock.patch.object(train, "window_steps", return_value=frozenset(steps)):
        yield
