"""Steady-state step times of several micro-batch sizes, by the code that the runner runs.

A step of s passes takes s * pass + optimizer seconds. Both are read off whole steps, one of a
single pass and one of four, in windows that follow each other: the law is then exact at both
ends, and nothing has to be timed inside a step, which on a card would change what is timed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from tuner.measuring.batches import SampleOrder
from tuner.measuring.clock import synchronize
from tuner.measuring.evaluation import evaluate
from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.random_state import derived_seed
from tuner.measuring.step import TrainingStep
from tuner.measuring.workbench import Workbench
from tuner.records import PassTiming, StepTiming, TimingMeasurement
from tuner.workloads.randomness import seeded

PASSES: Final = 4
"""Passes of the longer step; the more, the less its noise weighs in the time of one."""

WARMUP_STEPS: Final = 3
"""Steps before the first window: kernels are chosen, optimizer state appears."""

MIN_STEPS: Final = 3
"""Steps of a window at least."""

INPUT_FETCHES: Final = 20
"""Micro-batches fetched, without training on them, in each round."""

LEARNING_RATE: Final = 1e-6
"""So small that thousands of steps leave the model as good as untrained."""


@dataclass(slots=True)
class _Windows:
    """What was timed at one micro-batch size."""

    single: list[float] = field(default_factory=list)
    several: list[float] = field(default_factory=list)
    inputs: list[float] = field(default_factory=list)


def measure_timing(load_bench: Callable[[], Workbench], request: StepTiming) -> TimingMeasurement:
    """Time training steps at several micro-batch sizes, round by round.

    Args:
        load_bench: Sets the workload up, or has it warm.
        request: Sizes, seconds for each, and rounds.

    Returns:
        Seconds for each size, a size that ran out of memory left out; and those of one
        evaluation of the whole validation set at the middle size.
    """
    bench = load_bench()
    with seeded(derived_seed(bench.workload.data_seed, "timing")):
        return _Timing(bench, request).measured()


class _Timing:
    """One timing in progress."""

    def __init__(self, bench: Workbench, request: StepTiming) -> None:
        self.bench = bench
        self.request = request
        seed = bench.workload.data_seed
        self._order = SampleOrder(len(bench.train), seed, bench.train.home)
        self._samples = 0
        self._step = TrainingStep(
            bench,
            bench.model(seed),
            micro_batch_size=max(request.micro_batch_sizes),
            learning_rate=LEARNING_RATE,
        )

    def measured(self) -> TimingMeasurement:
        """Time all sizes, in rounds that go up and down in turn."""
        windows = {size: _Windows() for size in self.request.micro_batch_sizes}
        for size in list(windows):
            if not self._warm_up(size):
                del windows[size]
        for index in range(self.request.rounds):
            for size in list(windows)[:: -1 if index % 2 else 1]:
                self._window(size, windows[size])
        return TimingMeasurement(
            passes=tuple(_summary(size, windows[size]) for size in windows),
            evaluation_seconds=self._evaluation(list(windows)),
            device_seconds=0.0,
        )

    def _warm_up(self, size: int) -> bool:
        """Run a size for the first time; say whether memory holds it."""
        try:
            for passes in (1, PASSES):
                self._seconds(size, passes, WARMUP_STEPS)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            forget(error)
        else:
            return True
        self._step.optimizer.zero_grad(set_to_none=True)
        release(self.bench.device)
        return False

    def _window(self, size: int, windows: _Windows) -> None:
        # Half of a size's seconds go to steps of one pass, half to the longer ones.
        seconds = self.request.window_seconds / self.request.rounds / 2.0
        windows.single.append(self._steady(size, 1, seconds))
        windows.several.append(self._steady(size, PASSES, seconds))
        windows.inputs.append(self._fetching(size))

    def _steady(self, size: int, passes: int, seconds: float) -> float:
        """Seconds of one step, over as many steps as fill a window."""
        pilot = self._seconds(size, passes, 1)
        return self._seconds(size, passes, max(MIN_STEPS, math.ceil(seconds / pilot)))

    def _seconds(self, size: int, passes: int, steps: int) -> float:
        step, batch = self._step, size * passes
        step.micro_batch_size = size
        synchronize(self.bench.device)
        began = time.perf_counter()
        for _ in range(steps):
            step.run(self._order.rows(self._samples, batch), self._samples)
            self._samples += batch
        synchronize(self.bench.device)
        return (time.perf_counter() - began) / steps

    def _fetching(self, size: int) -> float:
        synchronize(self.bench.device)
        began = time.perf_counter()
        for _ in range(INPUT_FETCHES):
            self.bench.train.fetch(self._order.rows(self._samples, size))
            self._samples += size
        synchronize(self.bench.device)
        return (time.perf_counter() - began) / INPUT_FETCHES

    def _evaluation(self, sizes: Sequence[int]) -> float:
        if not sizes:
            return 0.0
        size = sorted(sizes)[len(sizes) // 2]
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            evaluate(self.bench, self._step.model, samples_per_pass=size)
            seconds.append(time.perf_counter() - began)
        return seconds[-1]


def _summary(size: int, windows: _Windows) -> PassTiming:
    whole = median(windows.single)
    # Neighbouring windows saw the machine in the same state: their difference is taken first.
    differences = [
        (several - single) / (PASSES - 1)
        for single, several in zip(windows.single, windows.several, strict=True)
    ]
    passing = min(max(median(differences), 0.0), whole)
    half_range = (max(windows.single) - min(windows.single)) / 2.0
    return PassTiming(
        micro_batch_size=size,
        pass_seconds=passing,
        optimizer_seconds=whole - passing,
        input_seconds=median(windows.inputs),
        spread=half_range / whole,
        windows=tuple(windows.single),
    )
