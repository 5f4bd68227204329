"""Whether the race's rates are trained side by side: by what was measured, never by hope.

Before its first rung the race has steps of stacks timed, and lone steps beside them. A rung is
then dealt out to stacks of the width that is predicted to end it soonest, if that gains enough
over separate runs on all the devices that the job may use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from tuner.deciding.course import RUNG_COST, Course
from tuner.deciding.job import Job
from tuner.deciding.predicted import live_bytes
from tuner.deciding.runs import throughput_of
from tuner.recommendation import Stacking
from tuner.records import (
    StackedResults,
    StackedRuns,
    StackPaces,
    StackTiming,
    TrainingRun,
)

TIMING_ID: Final = "race-stack-timing"
"""The request that times stacks."""

WIDTHS: Final = (8, 4, 2)
"""How many runs are tried side by side: as many as there are rates in each rung."""

WORTH_STACKING: Final = 1.1
"""A rung is stacked only if it is predicted to end so many times as soon."""

TRYING_SHARE: Final = 0.1
"""Share of what the rungs take one by one that finding out may cost."""

LEAST_TRYING_SECONDS: Final = 0.3
"""Finding out is not to be had for less: a race too short to pay for it is run one by one."""


def timing(job: Job, course: Course, runs: Sequence[TrainingRun]) -> StackTiming | None:
    """Ask how fast stacks are; None where none could be of use.

    Args:
        job: Whose race it is.
        course: Of its race.
        runs: The first rung.
    """
    widths = _widths(job, course, len(runs))
    if not widths:
        return None
    rungs = RUNG_COST * course.rung_steps * throughput_of(job).step_seconds[course.batch]
    allowance = TRYING_SHARE * rungs
    if allowance < LEAST_TRYING_SECONDS:
        return None
    return StackTiming(
        id=TIMING_ID,
        runs=tuple(runs[: widths[0]]),
        widths=widths,
        allowance_seconds=allowance,
    )


def dealt(
    job: Job, runs: Sequence[TrainingRun], steps: int
) -> tuple[TrainingRun | StackedRuns, ...]:
    """Deal a rung out: as stacks where that is predicted to be faster, else as it comes.

    Args:
        job: Whose race it is.
        runs: The whole rung, also what was started of it already.
        steps: Optimizer steps that each of them still has to take.

    Returns:
        What has not been started, in order.
    """
    width = best_width(_paces(job), runs=len(runs), slots=job.slots, steps=steps)
    requests: list[TrainingRun | StackedRuns] = []
    for start in range(0, len(runs), width):
        due = [run for run in runs[start : start + width] if run.id not in job.history]
        if len(due) > 1:
            rung = due[0].id.rpartition("-")
            requests.append(StackedRuns(id=f"{rung[0]}-stack-{rung[2]}", runs=tuple(due)))
        else:
            requests += due
    return tuple(requests)


def best_width(paces: StackPaces | None, *, runs: int, slots: int, steps: int) -> int:
    """Choose how many runs of a rung are trained side by side.

    Separate runs already share the devices: a stack has to end sooner than they all would,
    also if it leaves a device without work.

    Args:
        paces: What steps of stacks take; None where that is not known.
        runs: Runs of the rung.
        slots: Devices that the job may use at once.
        steps: Optimizer steps of each run.

    Returns:
        The width of the stacks; 1 for none.
    """
    if paces is None or runs <= 1:
        return 1
    turns = math.ceil(runs / max(1, slots))
    separate = turns * steps * paces.lone_step_seconds
    best, width = separate / WORTH_STACKING, 1
    for pace in paces.paces:
        if pace.step_seconds is None:
            continue
        turns = math.ceil(math.ceil(runs / pace.runs) / max(1, slots))
        seconds = turns * (pace.begin_seconds + steps * pace.step_seconds)
        if seconds < best:
            best, width = seconds, pace.runs
    return width


def evidence(job: Job) -> Stacking | None:
    """Say what was trained side by side in the race, and what it gained; None without a race."""
    paces = _paces(job)
    stacks = [
        (entry.request, entry.result)
        for entry in job.history.handed()
        if isinstance(entry.request, StackedRuns) and isinstance(entry.result, StackedResults)
    ]
    if paces is None:
        return None
    fastest = max((_gain(paces, pace.runs) for pace in paces.paces), default=0.0)
    return Stacking(
        runs=sum(len(request.runs) for request, _ in stacks),
        device_seconds=sum(result.device_seconds for _, result in stacks),
        separate_seconds=sum(
            _separate_seconds(job, paces.lone_step_seconds, *stack) for stack in stacks
        ),
        expected_gain=fastest or None,
        refused=paces.refused,
    )


def _gain(paces: StackPaces, width: int) -> float:
    """Seconds of lone steps over those of stacked ones; 0 where memory does not hold them."""
    seconds = next(pace.step_seconds for pace in paces.paces if pace.runs == width)
    return 0.0 if seconds is None else width * paces.lone_step_seconds / seconds


def _separate_seconds(
    job: Job, lone_step_seconds: float, request: StackedRuns, result: StackedResults
) -> float:
    """Seconds of the same steps and evaluations, one run after the other."""
    looking = throughput_of(job).evaluation_seconds
    return sum(
        its_own.train_steps * (lone_step_seconds + looking / run.evaluate_every_steps)
        for run, its_own in zip(request.runs, result.results, strict=True)
    )


def _paces(job: Job) -> StackPaces | None:
    entry = job.history.get(TIMING_ID)
    result = None if entry is None else entry.result
    return result if isinstance(result, StackPaces) else None


def _widths(job: Job, course: Course, runs: int) -> tuple[int, ...]:
    """Widths that leave no device idle, and that memory is sure to hold."""
    share = math.ceil(runs / max(1, job.slots))
    most = _held(job, course)
    return tuple(width for width in WIDTHS if width <= min(share, most))


def _held(job: Job, course: Course) -> int:
    """How many runs memory holds, if each takes what one alone takes."""
    memory = job.findings.memory
    assert memory is not None  # noqa: S101  (stages run in order)
    size = throughput_of(job).plans[course.batch].micro_batch_size
    needed = memory.peak_bytes(size)
    if needed is None:
        known = memory.predicted
        needed = round(live_bytes(known, size)) if known else memory.next_peak_bytes(size)
    return memory.limit_bytes // max(1, needed)
