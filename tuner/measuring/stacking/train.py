"""Trains several runs together, each as `tuner.measuring.train` would have trained it alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.measuring.checkpoint import NAME, load, rescue_name
from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.random_state import derived_seed, random_state, restore_random_state
from tuner.measuring.stacking.heat import Heat, Told
from tuner.measuring.stacking.lane import Lane
from tuner.measuring.stacking.rule import together
from tuner.measuring.stacking.stack import Replica
from tuner.measuring.step import TrainingStep
from tuner.measuring.train import train
from tuner.measuring.workbench import Workbench
from tuner.records import TrainingResult, TrainingRun
from tuner.workloads.randomness import seeded


def train_stacked(
    bench: Workbench,
    requests: Sequence[TrainingRun],
    *,
    tightened: Told = lambda _id: None,
    began: float | None = None,
) -> list[TrainingResult]:
    """Train runs that differ in learning rate and seed, all in one pass after the other.

    The results equal those of separate runs within rounding. Seconds are shared out equally
    among the runs that were in the stack. Runs that do not fit in memory together are trained
    one after the other.

    Args:
        bench: Their workload, set up.
        requests: At least one; `rule.together` has nothing against them.
        tightened: Asked at evaluations and every 0.2 s.
        began: `time.perf_counter` when the requests came; deadlines count from there.

    Returns:
        One result for each request, in their order.

    Raises:
        ValueError: The runs cannot be stacked; the message says why.
    """
    reason = together(requests)
    if reason is not None:
        raise ValueError(reason)
    began = time.perf_counter() if began is None else began
    try:
        return _stacked(bench, requests, tightened, began)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        forget(error)
    release(bench.device)
    return [_alone(bench, request, tightened, began) for request in requests]


def _alone(bench: Workbench, request: TrainingRun, told: Told, began: float) -> TrainingResult:
    return train(lambda: bench, request, tightened=lambda: told(request.id), began=began)


def _stacked(
    bench: Workbench, requests: Sequence[TrainingRun], told: Told, began: float
) -> list[TrainingResult]:
    starts = [_start(bench, request) for request in requests]
    # Runs whose checkpoints lie at different steps do not go side by side.
    for at in sorted({start.lane.progress.step for start in starts}):
        side = [start for start in starts if start.lane.progress.step == at]
        with seeded(0):
            restore_random_state(dict(side[0].random), bench.device)
            lanes, steps = [start.lane for start in side], [start.step for start in side]
            Heat(bench, lanes, steps, told=told, began=began).to_the_end()
    share = (time.perf_counter() - began) / len(requests)
    return [start.lane.result(bench.workload.metric, share) for start in starts]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """Where a run goes on from, and the random numbers that it goes on with."""

    lane: Lane
    step: TrainingStep
    random: Mapping[str, Any]


def _start(bench: Workbench, request: TrainingRun) -> _Start:
    """Set a run up, at its checkpoint if there is one."""
    with seeded(derived_seed(request.seed, "run")):
        replica = Replica(learning_rate=request.learning_rate, seed=request.seed)
        step = replica.step(bench, request.plan.micro_batch_size)
        lane = Lane(request=request, limit=request.max_steps)
        names = [rescue_name(request)]
        if request.resume_from is not None and NAME.fullmatch(request.resume_from):
            names.append(request.resume_from)
        for path in (bench.places.artifacts / name for name in names):
            found = load(path, request, step) if path.exists() else None
            if found is not None:
                lane.progress, lane.resumed = found, True
                break
        return _Start(lane=lane, step=step, random=random_state(bench.device))
