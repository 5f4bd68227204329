"""What inspection, memory and timing measured, and what each stage cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.evidence.tuning import MemoryEvidence
from service.store.recorded import Recorded
from tuner.errors import IncompatibleRecord
from tuner.records import (
    Inspection,
    MemoryMeasurement,
    MemoryPrediction,
    PassTiming,
    TimingMeasurement,
    decode,
)

DECODED: Final = frozenset(
    {"Inspection", "MemoryMeasurement", "MemoryPrediction", "TimingMeasurement"}
)
"""Records that are few and small enough to be read as what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured beside training.

    Args:
        inspection: What data, model and device are.
        memory: By micro-batch size.
        memory_limit_bytes: What the last memory trial was allowed to use.
        timings: By micro-batch size, the steadiest of each.
        evaluation_seconds: Of the last timing.
        seconds_by_stage: Device seconds, lost attempts included.
    """

    inspection: Inspection | None
    memory: tuple[MemoryEvidence, ...]
    memory_limit_bytes: int | None
    timings: tuple[PassTiming, ...]
    evaluation_seconds: float | None
    seconds_by_stage: Mapping[str, float]


def measured_of(recorded: Recorded) -> Measured:
    """Read what was measured beside training.

    Args:
        recorded: All that is stored of a job.

    Returns:
        As much of it as this version can read.
    """
    found = list(_decoded(recorded))
    timings = [one for one in found if isinstance(one, TimingMeasurement)]
    inspections = [one for one in found if isinstance(one, Inspection)]
    return Measured(
        inspection=inspections[0] if inspections else None,
        memory=_memory(found),
        memory_limit_bytes=_limit(recorded),
        timings=_steadiest(timings),
        evaluation_seconds=timings[-1].evaluation_seconds if timings else None,
        seconds_by_stage=_seconds(recorded),
    )


def _decoded(recorded: Recorded) -> Iterator[Any]:
    for payload in recorded.results.values():
        if payload.get("record") in DECODED:
            try:
                yield decode(payload)
            except IncompatibleRecord:
                continue


def _memory(found: list[Any]) -> tuple[MemoryEvidence, ...]:
    predictions = [one for one in found if isinstance(one, MemoryPrediction)]
    points = [point for one in predictions for point in one.points]
    predicted = {point.micro_batch_size: point.live_bytes for point in points}
    trials = [one for one in found if isinstance(one, MemoryMeasurement)]
    measured = {one.micro_batch_size: one for one in trials}
    return tuple(
        MemoryEvidence(
            micro_batch_size=size,
            predicted_bytes=predicted.get(size),
            measured_bytes=None if trial is None or trial.out_of_memory else trial.live_bytes,
            out_of_memory=None if trial is None else trial.out_of_memory,
        )
        for size in sorted(predicted.keys() | measured.keys())
        for trial in (measured.get(size),)
    )


def _limit(recorded: Recorded) -> int | None:
    limits = [
        request.get("limit_bytes")
        for request in (record.event.get("request") for record in recorded.records)
        if isinstance(request, Mapping) and request.get("record") == "MemoryTrial"
    ]
    known = [limit for limit in limits if isinstance(limit, int)]
    return known[-1] if known else None


def _steadiest(timings: list[TimingMeasurement]) -> tuple[PassTiming, ...]:
    """Keep of each size the timing whose windows agreed best, as the decisions do."""
    best: dict[int, PassTiming] = {}
    for timing in timings:
        for one in timing.passes:
            known = best.get(one.micro_batch_size)
            if known is None or one.spread < known.spread:
                best[one.micro_batch_size] = one
    return tuple(best[size] for size in sorted(best))


def _seconds(recorded: Recorded) -> dict[str, float]:
    """Add up by the first word of a request's id, which is its stage."""
    spent: dict[str, float] = {}

    def charge(request_id: object, seconds: object) -> None:
        stage = str(request_id).partition("-")[0]
        if isinstance(seconds, int | float):
            spent[stage] = spent.get(stage, 0.0) + seconds

    for request_id, payload in recorded.results.items():
        charge(request_id, payload.get("device_seconds"))
    for record in recorded.records:
        if record.event.get("record") in {"Failed", "AttemptLost"}:
            charge(record.event.get("request_id"), record.event.get("device_seconds"))
    return spent
