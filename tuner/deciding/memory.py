"""Memory: the largest micro-batch that runs, predicted by a trace, then confirmed by trials.

The trace computes nothing and tells the shape of the curve; about three trials calibrate and
confirm it (`calibrated.py`). A workload that cannot be traced is grown carefully instead
(`growth.py`), and the answer says so. Only sizes that were run for real are ever returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tuner.deciding import calibrated, growth
from tuner.deciding.feasibility import fits
from tuner.deciding.history import Entry
from tuner.deciding.job import Job, Wants, failure_of, stopped_early
from tuner.deciding.memory_curve import MemoryCurve
from tuner.deciding.predicted import sizes_to_trace
from tuner.records import (
    CardModel,
    MemoryMeasurement,
    MemoryPrediction,
    MemoryTrace,
    MemoryTrial,
    PredictedPeak,
)

ACCUMULATION: Final = 2
"""Passes per optimizer step in a trial: two show the gradient copy that accumulation holds."""

MAX_TRACES: Final = 3
"""Traces at most: of two large sizes, of the solution, and of the solution once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """How far the search has come.

    Args:
        points: The predicted curve, by size.
        not_predicted: Why a trace gave none; None if none failed.
        tracing: The sizes that are being traced, or are to be; empty when all is traced.
        trials: Trials that have a result, in order.
        size: Size to run next; None when the search is over or still traces.
    """

    points: tuple[PredictedPeak, ...]
    not_predicted: str | None
    tracing: tuple[int, ...]
    trials: tuple[MemoryMeasurement, ...]
    size: int | None


def finding(job: Job) -> MemoryCurve | None:
    """Read the curve, once the largest size is known.

    Raises:
        NoFeasibleBatch: Not even one sample fits.
        TunerError: A trial raised, or the budget ended first.
    """
    search = _search(job)
    if search.tracing or search.size is not None:
        if job.over:
            raise stopped_early(job, "memory")
        return None
    goal = limit_bytes(job)
    largest = max(t.micro_batch_size for t in search.trials if fits(t, goal))
    return MemoryCurve(
        max_micro_batch_size=largest,
        limited=largest < _upper(job),
        limit_bytes=goal,
        predicted=search.points,
        not_predicted=None if search.points else search.not_predicted,
        trials=search.trials,
    )


def wants(job: Job) -> Wants:
    """Ask for the next trace or size; one at a time, since each depends on the last."""
    search = _search(job)
    if search.tracing:
        trace = _trace(job, f"memory-trace-{len(_traces(job))}", search.tracing)
        is_open = any(not entry.ended for entry in _traces(job))
        return Wants() if is_open else Wants(requests=(trace,))
    request_id = f"memory-{len(search.trials)}"
    if search.size is None or request_id in job.history:
        return Wants()
    return Wants(requests=(memory_trial(job, request_id, search.size),))


def memory_trial(job: Job, request_id: str, micro_batch_size: int) -> MemoryTrial:
    """Make the request that runs one size for real, at the limit without the margin."""
    return MemoryTrial(
        id=request_id,
        workload=job.workload,
        micro_batch_size=micro_batch_size,
        accumulation=ACCUMULATION,
        limit_bytes=_device_limit_bytes(job),
    )


def limit_bytes(job: Job) -> int:
    """Return what a run may use: the device's limit with the margin taken off."""
    return int(_device_limit_bytes(job) * (1.0 - job.spec.hardware.memory_margin))


def _search(job: Job) -> _Search:
    traces, trials = _traces(job), _trials(job)
    points, goal, upper = _points(traces), limit_bytes(job), _upper(job)
    reason = next(filter(None, map(_why_not, traces)), None)
    tracing: tuple[int, ...] = ()
    if reason is None and not trials:
        tracing = _to_trace(traces, points, goal, upper)
    size: int | None = None
    if not tracing and points:
        size = calibrated.next_size(points, trials, upper=upper, goal_bytes=goal)
    elif not tracing:
        size = growth.next_size(trials, upper=upper, goal_bytes=goal)
    return _Search(points=points, not_predicted=reason, tracing=tracing, trials=trials, size=size)


def _to_trace(
    traces: Sequence[Entry], points: Sequence[PredictedPeak], goal_bytes: int, upper: int
) -> tuple[int, ...]:
    """Sizes of the trace that is under way, or of the next one; none when all is traced."""
    for entry in traces:
        if not entry.ended and isinstance(entry.request, MemoryTrace):
            return entry.request.micro_batch_sizes
    if len(traces) >= MAX_TRACES:
        return ()
    return sizes_to_trace(points, goal_bytes=goal_bytes, upper=upper)


def _trace(job: Job, request_id: str, sizes: tuple[int, ...]) -> MemoryTrace:
    assert job.findings.inspect is not None  # noqa: S101  (stages run in order)
    device = job.findings.inspect.facts.device
    card = CardModel(
        name=device.name,
        memory_bytes=device.memory_bytes,
        context_bytes=0,  # the device's limit has the context taken off already
        device_type=job.workload.accelerator,
    )
    return MemoryTrace(
        id=request_id,
        workload=job.workload,
        micro_batch_sizes=sizes,
        accumulation=ACCUMULATION,
        card=card,
    )


def _traces(job: Job) -> list[Entry]:
    return [entry for entry in job.history.of("memory") if isinstance(entry.request, MemoryTrace)]


def _points(traces: Sequence[Entry]) -> tuple[PredictedPeak, ...]:
    found = {
        point.micro_batch_size: point
        for entry in traces
        if isinstance(entry.result, MemoryPrediction) and entry.result.traced
        for point in entry.result.points
    }
    return tuple(found[size] for size in sorted(found))


def _why_not(trace: Entry) -> str | None:
    """Say why a trace gave no prediction; None if it did, or is under way."""
    if trace.problem is not None:
        return trace.problem.detail
    if isinstance(trace.result, MemoryPrediction) and not trace.result.traced:
        return trace.result.reason or "the workload could not be traced."
    return None


def _trials(job: Job) -> tuple[MemoryMeasurement, ...]:
    trials: list[MemoryMeasurement] = []
    for entry in job.history.of("memory"):
        if not isinstance(entry.request, MemoryTrial):
            continue
        if entry.problem is not None:
            raise failure_of(entry)
        if isinstance(entry.result, MemoryMeasurement):
            trials.append(entry.result)
    return tuple(trials)


def _device_limit_bytes(job: Job) -> int:
    assert job.findings.inspect is not None  # noqa: S101  (stages run in order)
    return job.findings.inspect.facts.device.limit_bytes


def _upper(job: Job) -> int:
    assert job.findings.inspect is not None  # noqa: S101  (stages run in order)
    scope = job.findings.inspect
    return max(1, min(max(scope.batches), scope.facts.num_train))
