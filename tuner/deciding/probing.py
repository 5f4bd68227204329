"""The whole probe as one call: traces, trials, and the largest size that ran.

For those who have the means to predict and to measure at hand, without a job around it. It
decides exactly as the memory stage does, and needs the standard library alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tuner.deciding import calibrated, growth, predicted, replayed
from tuner.deciding.feasibility import Budget, fitting
from tuner.deciding.replayed import Question
from tuner.records import MemoryMeasurement, PredictedPeak

ACCUMULATION: Final = 2
"""Passes per optimizer step in a trial: two show the gradient copy that accumulation holds."""

MAX_TRACES: Final = 3
"""Traces before the trials at most: of two large sizes, of the solution, and once more of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A probe that has ended.

    Args:
        points: The predicted curve, by size; empty where there is none.
        trials: What was run, in order.
        max_micro_batch_size: The largest size that was run and fitted.
    """

    points: tuple[PredictedPeak, ...]
    trials: tuple[MemoryMeasurement, ...]
    max_micro_batch_size: int


def sizes_to_trace(
    points: Sequence[PredictedPeak], budget: Budget, *, traces: int
) -> tuple[int, ...]:
    """Choose what to trace next, before the trials.

    Args:
        points: The predicted curve, by size.
        budget: What to keep to.
        traces: Traces that were made.

    Returns:
        Sizes; none where there is nothing to be learned.
    """
    return predicted.sizes_to_trace(points, budget) if traces < MAX_TRACES else ()


def question(
    points: Sequence[PredictedPeak], trials: Sequence[MemoryMeasurement], budget: Budget
) -> Question | None:
    """Say what a replay of recorded requests has to find; None where there is nothing."""
    return replayed.question(trials, budget, traced=bool(points))


def next_size(
    points: Sequence[PredictedPeak],
    trials: Sequence[MemoryMeasurement],
    promised: int | None,
    budget: Budget,
) -> int | None:
    """Choose the next size to run: by a replay, else by the prediction, else by growth.

    Args:
        points: The predicted curve, by size; empty where there is none.
        trials: What was run so far, in order.
        promised: What the replay after the last trial found; None where there was none.
        budget: What to keep to.

    Returns:
        A size that was not run yet, or None when the search is over.

    Raises:
        NoFeasibleBatch: One sample was run and did not fit.
    """
    if promised is not None:
        return replayed.next_size(promised, trials, budget)
    if replayed.is_exhausted(trials, budget, traced=bool(points)):
        return None
    if points:
        return calibrated.next_size(points, trials, budget)
    return growth.next_size(trials, budget)


def probe(
    predict: Callable[[tuple[int, ...]], Sequence[PredictedPeak]] | None,
    measure: Callable[[int], MemoryMeasurement],
    replay: Callable[[Question], int | None],
    budget: Budget,
) -> Probe:
    """Find the largest micro-batch.

    Args:
        predict: From sizes to predicted peaks; None where nothing can be traced.
        measure: Runs one size at the limit without the margin.
        replay: Answers a question from recordings; None where it cannot.
        budget: What to keep to.

    Returns:
        What was predicted, measured and found.

    Raises:
        NoFeasibleBatch: One sample was run and did not fit.
    """
    points = _curve(predict, budget) if predict is not None else ()
    trials: list[MemoryMeasurement] = []
    while True:
        asked = question(points, trials, budget)
        promised = None if asked is None else replay(asked)
        size = next_size(points, trials, promised, budget)
        if size is None:
            break
        trials.append(measure(size))
    largest = fitting(trials, budget.goal_bytes)[-1].micro_batch_size
    return Probe(points=points, trials=tuple(trials), max_micro_batch_size=largest)


def _curve(
    predict: Callable[[tuple[int, ...]], Sequence[PredictedPeak]], budget: Budget
) -> tuple[PredictedPeak, ...]:
    points: tuple[PredictedPeak, ...] = ()
    for traces in range(MAX_TRACES):
        sizes = sizes_to_trace(points, budget, traces=traces)
        if sizes:
            points = merged(points, predict(sizes))
    return points


def merged(
    points: Sequence[PredictedPeak], more: Sequence[PredictedPeak]
) -> tuple[PredictedPeak, ...]:
    """Put predicted points together, by size, each size once."""
    found = {point.micro_batch_size: point for point in (*points, *more)}
    return tuple(found[size] for size in sorted(found))
