"""How fast runs are side by side: found out by trying, for as long as that is worth it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tuner.measuring.batches import SampleOrder
from tuner.measuring.clock import synchronize
from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.random_state import derived_seed
from tuner.measuring.stacking.rule import together
from tuner.measuring.stacking.stack import Replica, Stack
from tuner.measuring.workbench import Workbench
from tuner.records import StackPace, StackPaces, StackTiming
from tuner.workloads.randomness import seeded

WARMUP_STEPS: Final = 2
"""Steps before the first that counts: kernels are chosen, optimizer state appears."""

TURNS: Final = 5
"""Turns of both ways; the fastest of each counts: what else a machine does only adds."""

STEPS: Final = 3
"""Steps of each way in a turn."""

TRACE_STEPS: Final = 60
"""Writing a pass down takes as long as so many passes that are mapped (10 to 60, measured)."""


def measure_paces(load_bench: Callable[[], Workbench], request: StackTiming) -> StackPaces:
    """Time steps of stacks, and lone steps in turn with them.

    The widest stack is tried first, as its passes come: mapped. Where the allowance holds it
    they are written down, as those of a long run are in time, and timed again; later stacks of
    this workload go on with what was written. A narrower stack is tried only if the wider one
    was faster than lone runs or did not fit.

    Args:
        load_bench: Sets the workload up, or has it warm.
        request: The runs and how many of them to try together.

    Returns:
        What was found; nothing but the reason where the runs cannot be stacked.
    """
    refused = together(request.runs)
    if refused is not None:
        return StackPaces(lone_step_seconds=0.0, paces=(), refused=refused, device_seconds=0.0)
    bench = load_bench()
    with seeded(derived_seed(request.runs[0].seed, "gain")):
        return _Trying(bench, request).paces()


class _Trying:
    """Stacks of one request under trial."""

    def __init__(self, bench: Workbench, request: StackTiming) -> None:
        first = request.runs[0]
        self.bench = bench
        self.request = request
        self._began = time.perf_counter()
        self._batch = first.plan.global_batch_size
        self._size = first.plan.micro_batch_size
        self._replicas = [
            Replica(learning_rate=run.learning_rate, seed=run.seed) for run in request.runs
        ]
        self._one = self._replicas[0].step(bench, self._size)
        order = SampleOrder(len(bench.train), first.seed, bench.train.home)
        self._rows = order.rows(0, self._batch)
        self._alone: list[float] = []

    def paces(self) -> StackPaces:
        """Try one width after the other."""
        paces: list[StackPace] = []
        self._seconds(lambda: self._one.run(self._rows, 0), WARMUP_STEPS)
        self._lone()
        for width in self.request.widths:
            pace = self._tried(width)
            paces.append(pace)
            if not self._promises(pace) or self._spent(0.0):
                break
        return StackPaces(
            lone_step_seconds=min(self._alone), paces=tuple(paces), device_seconds=0.0
        )

    def _promises(self, pace: StackPace) -> bool:
        """Whether a narrower stack may be worth it, after this one."""
        return pace.step_seconds is None or pace.step_seconds < pace.runs * min(self._alone)

    def _tried(self, width: int) -> StackPace:
        try:
            return self._timed(width)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            forget(error)
        release(self.bench.device)
        return StackPace(runs=width, step_seconds=None)

    def _timed(self, width: int) -> StackPace:
        stack = Stack.fresh(self.bench, self._replicas[:width], micro_batch_size=self._size)
        self._stacked(stack, WARMUP_STEPS)
        mapped = self._turns(stack, 1)
        if self._spent(TRACE_STEPS * mapped):
            return StackPace(runs=width, step_seconds=mapped)
        stack.trace_at_once()
        began = time.perf_counter()
        self._stacked(stack, 1)
        begin = time.perf_counter() - began
        return StackPace(runs=width, step_seconds=self._turns(stack, TURNS), begin_seconds=begin)

    def _turns(self, stack: Stack, turns: int) -> float:
        """Time both ways in turn, and return the seconds of the fastest stacked step."""
        seconds = []
        for _ in range(turns):
            seconds.append(self._stacked(stack, STEPS))
            self._lone()
        return min(seconds)

    def _lone(self) -> None:
        self._alone.append(self._seconds(lambda: self._one.run(self._rows, 0), STEPS))

    def _stacked(self, stack: Stack, steps: int) -> float:
        return self._seconds(lambda: stack.run(0, self._batch), steps)

    def _seconds(self, step: Callable[[], None], steps: int) -> float:
        """Seconds of one step, over so many of them."""
        synchronize(self.bench.device)
        began = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize(self.bench.device)
        return (time.perf_counter() - began) / steps

    def _spent(self, more: float) -> bool:
        """Whether the allowance does not hold so many seconds more."""
        spent = time.perf_counter() - self._began
        return spent + more > self.request.allowance_seconds
