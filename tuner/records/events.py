"""Events: what happened to a tuning, in the order in which it is replayed."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.errors import Problem
from tuner.records.knowledge import (
    Knowledge,
    PastAnswer,
)
from tuner.records.unions import (
    Measurement,
    Request,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A request was handed to a device. Stored, and adopted on replay as it stands."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A request was measured."""

    request_id: str
    result: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request can never be measured: the workload itself is at fault."""

    request_id: str
    problem: Problem
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLost:
    """An attempt ended without a result, through no fault that is known.

    Args:
        request_id: Whose attempt it was.
        cause: `crashed` (signal, exit), `node_lost`, `withdrawn` or `restarted`
            (the controller came back and the attempt had died with it).
        device_seconds: What it had cost until then.
    """

    request_id: str
    cause: str
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityChanged:
    """How many measurements of this job may run at once, and on what.

    Args:
        accelerator: `cpu` or `cuda`.
        device_kind: Kind of device; the first one told stays the job's.
        slots: Measurements at once; 0 pauses the job.
    """

    accelerator: str
    device_kind: str
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Start nothing more: `cancelled` or `timeout`."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """A past job knows this workload. It is verified before anything rests on it."""

    knowledge: Knowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A past job has answered this very request. Its answer is taken; no more is measured."""

    past: PastAnswer


Event = Started | Result | Failed | AttemptLost | CapacityChanged | Stop | Recalled | Answered
