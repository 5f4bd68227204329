"""Whether a stack is faster than its runs one after the other: found out by trying."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from tuner.measuring.clock import synchronize
from tuner.measuring.random_state import derived_seed
from tuner.measuring.stacking.stack import Replica, Stack
from tuner.measuring.workbench import Workbench
from tuner.records import TrainingRun
from tuner.workloads.randomness import seeded

TURNS: Final = 8
"""Turns of both ways; the fastest of each counts: what else a machine does only adds."""

STEPS: Final = 3
"""Steps of each way in a turn."""


def measured_gain(bench: Workbench, requests: Sequence[TrainingRun]) -> float:
    """Take a few steps stacked and a few alone, in turn.

    The steps are written down at once, as those of a long run are in time.

    Args:
        bench: The workload of the requests.
        requests: Runs that `rule.together` has nothing against. They are not begun by this.

    Returns:
        Seconds of separate steps over those of a stacked one: above 1 the stack is faster.
    """
    batch = requests[0].plan.global_batch_size
    size = requests[0].plan.micro_batch_size
    replicas = [Replica(learning_rate=each.learning_rate, seed=each.seed) for each in requests]
    with seeded(derived_seed(requests[0].seed, "gain")):
        stack = Stack.fresh(bench, replicas, micro_batch_size=size)
        stack.trace_at_once()
        one = replicas[0].step(bench, size)
        rows = stack.rows(0, batch)[0]
        together: list[float] = []
        alone: list[float] = []
        for _ in range(TURNS):
            together.append(_seconds(bench, lambda: stack.run(0, batch)))
            alone.append(_seconds(bench, lambda: one.run(rows, 0)))
    return len(requests) * min(alone) / min(together)


def _seconds(bench: Workbench, step: Callable[[], None]) -> float:
    synchronize(bench.device)
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    synchronize(bench.device)
    return time.perf_counter() - began
