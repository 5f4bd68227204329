"""Memory: the largest micro-batch that runs, found by growing it.

Peak bytes are convex and piecewise linear in the micro-batch: constant while the optimizer
dominates, then steeper, then affine. So a line through small sizes promises too much, and the
growth is careful: at most fourfold, then along the secant of the last two sizes, at most 70 %
of the way to its promise until that is near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tuner.deciding.job import Job, Wants, failure_of, stopped_early
from tuner.errors import NoFeasibleBatch
from tuner.records import MemoryMeasurement, MemoryTrial

FIRST_SIZE: Final = 2
"""First size that is tried; one sample alone is asked for only if two do not fit."""

GROWTH: Final = 4
"""No size is tried beyond this multiple of one that fitted."""

CAUTION: Final = 0.7
"""Share of the way to the predicted limit that one jump takes while it is far."""

NEAR: Final = 1.5
"""The limit counts as near when it is within this multiple of a size that fitted."""

RESOLUTION: Final = 0.02
"""The search ends when at most this share of the size (or one sample) is still open."""

MAX_TRIALS: Final = 16
"""Trials at most; the search ends with the largest size that ran."""

ACCUMULATION: Final = 2
"""Passes per optimizer step in a trial: two show the gradient copy that accumulation holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCurve:
    """What was measured of memory.

    Args:
        max_micro_batch_size: The largest size that was run and fitted.
        limited: Whether memory, not the search space, ended the growth.
        limit_bytes: What a run may use, margin taken off.
        trials: Every measurement, in order.
    """

    max_micro_batch_size: int
    limited: bool
    limit_bytes: int
    trials: tuple[MemoryMeasurement, ...]

    def peak_bytes(self, micro_batch_size: int) -> int | None:
        """Return the measured peak at a size, or None if it was not run."""
        for trial in self.trials:
            if trial.micro_batch_size == micro_batch_size and fits(trial):
                return trial.peak_bytes
        return None


def finding(job: Job) -> MemoryCurve | None:
    """Read the curve, once the largest size is known.

    Raises:
        NoFeasibleBatch: Not even one sample fits.
        TunerError: A trial raised, or the budget ended first.
    """
    trials = _trials(job)
    size = next_size(trials, upper=_upper(job), limit_bytes=limit_bytes(job))
    largest = max((trial.micro_batch_size for trial in trials if fits(trial)), default=0)
    if size is not None:
        if job.over:
            raise stopped_early(job, "memory")
        return None
    return MemoryCurve(
        max_micro_batch_size=largest,
        limited=largest < _upper(job),
        limit_bytes=limit_bytes(job),
        trials=tuple(trials),
    )


def wants(job: Job) -> Wants:
    """Ask for the next size; one at a time, since each depends on the last."""
    trials = _trials(job)
    size = next_size(trials, upper=_upper(job), limit_bytes=limit_bytes(job))
    request_id = f"memory-{len(trials)}"
    if size is None or request_id in job.history:
        return Wants()
    return Wants(requests=(memory_trial(job, request_id, size),))


def memory_trial(job: Job, request_id: str, micro_batch_size: int) -> MemoryTrial:
    """Make the request that runs one size for real."""
    return MemoryTrial(
        id=request_id,
        workload=job.workload,
        micro_batch_size=micro_batch_size,
        accumulation=ACCUMULATION,
        limit_bytes=limit_bytes(job),
    )


def limit_bytes(job: Job) -> int:
    """Return what a run may use: the device's limit without the margin."""
    assert job.findings.inspect is not None  # noqa: S101  (stages run in order)
    limit = job.findings.inspect.facts.device.limit_bytes
    return int(limit * (1.0 - job.spec.hardware.memory_margin))


def fits(trial: MemoryMeasurement) -> bool:
    """Whether a size is feasible: no out-of-memory and no allocator retry after warm-up."""
    return not trial.out_of_memory and trial.allocation_retries == 0


def next_size(  # noqa: PLR0911  (each return is one rule of the growth)
    trials: Sequence[MemoryMeasurement], *, upper: int, limit_bytes: int
) -> int | None:
    """Choose the next micro-batch size to run.

    Args:
        trials: What was run so far, in order.
        upper: No size above this is of use.
        limit_bytes: Bytes that a run may use.

    Returns:
        A size that was not run yet, or None when the largest one is known.

    Raises:
        NoFeasibleBatch: One sample was run and did not fit.
    """
    fitting = sorted((t.micro_batch_size, t.peak_bytes) for t in trials if fits(t))
    failing = min((t.micro_batch_size for t in trials if not fits(t)), default=None)
    if not fitting:
        return _first_size(trials, failing, upper, limit_bytes)
    largest = fitting[-1][0]
    if largest >= upper or len(trials) >= MAX_TRIALS:
        return None
    promise = _secant(fitting, limit_bytes)
    tolerance = max(1.0, RESOLUTION * largest)
    if failing is not None:
        if failing - largest <= tolerance:
            return None
        inside = promise is not None and largest < int(promise) < failing
        return int(promise) if promise is not None and inside else (largest + failing) // 2
    if promise is None:
        return min(GROWTH * largest, upper)
    if promise - largest < tolerance:
        return None
    near = promise <= NEAR * largest
    reach = promise if near else largest + CAUTION * (promise - largest)
    return max(largest + 1, min(int(reach), GROWTH * largest, upper))


def _first_size(
    trials: Sequence[MemoryMeasurement], failing: int | None, upper: int, limit_bytes: int
) -> int:
    if failing is None:
        return min(FIRST_SIZE, upper)
    if failing > 1:
        return 1
    smallest = min(trials, key=lambda trial: trial.micro_batch_size)
    needed = max(smallest.peak_bytes, limit_bytes)
    raise NoFeasibleBatch(
        f"Not even one sample fits: training needs more than {needed:,} bytes, and "
        f"{limit_bytes:,} are available after the margin. Use a smaller model, bf16, "
        "activation checkpointing, or a device with more memory.",
        pointer="/hardware/memory_limit_bytes",
        facts={"bytes_needed": needed, "bytes_available": limit_bytes},
    )


def _secant(fitting: Sequence[tuple[int, int]], limit_bytes: int) -> float | None:
    """Follow the line through the last two sizes to the limit; None where it says nothing."""
    if len(fitting) < 2:  # noqa: PLR2004  (a line needs two points)
        return None
    (size_before, peak_before), (size, peak) = fitting[-2:]
    slope = (peak - peak_before) / (size - size_before)
    return None if slope <= 0.0 else size + (limit_bytes - peak) / slope


def _trials(job: Job) -> list[MemoryMeasurement]:
    trials: list[MemoryMeasurement] = []
    for entry in job.history.of("memory"):
        if entry.problem is not None:
            raise failure_of(entry)
        if isinstance(entry.result, MemoryMeasurement):
            trials.append(entry.result)
    return trials


def _upper(job: Job) -> int:
    assert job.findings.inspect is not None  # noqa: S101  (stages run in order)
    scope = job.findings.inspect
    return max(1, min(max(scope.batches), scope.facts.num_train))
