"""Memory: the largest micro-batch that runs, predicted by a trace, then confirmed by trials.

The trace computes nothing and tells the shape of the curve; two trials calibrate it
(`calibrated.py`). Where devices tell what their allocator was asked for, a replay of those two
names the size that is run last (`replayed.py`). A workload that cannot be traced is grown
carefully instead (`growth.py`), and the answer says so. Only sizes that were run for real are
ever returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.deciding.feasibility import Budget, fits
from tuner.deciding.history import Entry
from tuner.deciding.job import Job, Wants, failure_of, stopped_early
from tuner.deciding.memory_curve import MemoryCurve
from tuner.deciding.probing import (
    ACCUMULATION,
    merged,
    next_size,
    question,
    sizes_to_trace,
)
from tuner.deciding.replayed import Question
from tuner.records import (
    CardModel,
    MemoryMeasurement,
    MemoryPrediction,
    MemoryReplay,
    MemoryReplayed,
    MemoryTrace,
    MemoryTrial,
    PredictedPeak,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """How far the search has come.

    Args:
        points: The predicted curve, by size.
        not_predicted: Why a trace gave none; None if none failed.
        tracing: The sizes that are being traced, or are to be; empty when all is traced.
        trials: Trials that have a result, in order.
        question: What a replay of recordings has to find first; None when none has to.
        size: Size to run next; None when the search is over, still traces or replays.
    """

    points: tuple[PredictedPeak, ...]
    not_predicted: str | None
    tracing: tuple[int, ...]
    trials: tuple[MemoryMeasurement, ...]
    question: Question | None
    size: int | None

    @property
    def is_over(self) -> bool:
        """Whether the largest size is known."""
        return not self.tracing and self.question is None and self.size is None


def finding(job: Job) -> MemoryCurve | None:
    """Read the curve, once the largest size is known.

    Raises:
        NoFeasibleBatch: Not even one sample fits.
        TunerError: A trial raised, or the budget ended first.
    """
    search = _search(job)
    if not search.is_over:
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
    if search.question is not None:
        replay = _replay(job, _replay_id(search.trials), search.question)
        return Wants() if replay.id in job.history else Wants(requests=(replay,))
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
    points, budget = _points(traces), _budget(job)
    reason = next(filter(None, map(_why_not, traces)), None)
    tracing = _under_way(traces)
    if not tracing and reason is None and not trials:
        tracing = sizes_to_trace(points, budget, traces=len(traces))
    asked = None if tracing else question(points, trials, budget)
    replay = job.history.get(_replay_id(trials))
    size = None
    if asked is None or (replay is not None and replay.ended):
        promised = None if asked is None or replay is None else _promised(replay)
        size, asked = None if tracing else next_size(points, trials, promised, budget), None
    return _Search(
        points=points,
        not_predicted=reason,
        tracing=tracing,
        trials=trials,
        question=asked,
        size=size,
    )


def _replay_id(trials: Sequence[MemoryMeasurement]) -> str:
    return f"memory-replay-{len(trials)}"


def _promised(replay: Entry) -> int | None:
    """Read what a replay found; one that failed found nothing, and the curve has to do."""
    return replay.result.micro_batch_size if isinstance(replay.result, MemoryReplayed) else None


def _under_way(traces: Sequence[Entry]) -> tuple[int, ...]:
    """Sizes of the trace that has not ended; none if all have."""
    for entry in traces:
        if not entry.ended and isinstance(entry.request, MemoryTrace):
            return entry.request.micro_batch_sizes
    return ()


def _budget(job: Job) -> Budget:
    return Budget(
        limit_bytes=_device_limit_bytes(job), goal_bytes=limit_bytes(job), upper=_upper(job)
    )


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


def _replay(job: Job, request_id: str, asked: Question) -> MemoryReplay:
    return MemoryReplay(
        id=request_id,
        workload=job.workload,
        recordings=asked.recordings,
        limit_bytes=_device_limit_bytes(job),
        goal_bytes=limit_bytes(job),
        above=asked.above,
        up_to=asked.up_to,
        careful=asked.careful,
    )


def _traces(job: Job) -> list[Entry]:
    return [entry for entry in job.history.of("memory") if isinstance(entry.request, MemoryTrace)]


def _points(traces: Sequence[Entry]) -> tuple[PredictedPeak, ...]:
    points: tuple[PredictedPeak, ...] = ()
    for entry in traces:
        if isinstance(entry.result, MemoryPrediction) and entry.result.traced:
            points = merged(points, entry.result.points)
    return points


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
