"""The port between whoever drives a tuning and whatever runs its measurements.

Implementations live in `workers/executors/`, one file each, and all pass the one suite in
`tests/contracts/test_executors.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tuner.errors import Problem
from tuner.places import Places
from tuner.records import Measurement, Request


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AttemptId:
    """One try at one request of one job.

    Args:
        job_id: Whose request it is; consecutive attempts of one job share a warm child.
        request_id: Unique in its job.
        number: Counts from 1; late news of an older number are dropped by the reader.
    """

    job_id: str
    request_id: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSlot:
    """A device that runs one measurement at a time.

    Args:
        id: Unique in the executor, for example `cpu` or `cuda:0`.
        accelerator: `cpu` or `cuda`.
        kind: Step times are comparable within a kind: `cpu` or `cuda:<name of the card>`.
        name: What people call it.
        memory_bytes: All of its memory.
        busy_with: The attempt it runs now, if any.
        child_pid: Process id of its warm child, if any.
        child_restarts: Children replaced so far.
    """

    id: str
    accelerator: str
    kind: str
    name: str
    memory_bytes: int
    busy_with: AttemptId | None = None
    child_pid: int | None = None
    child_restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The attempt measured what it was asked."""

    attempt: AttemptId
    result: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """The workload itself is at fault: never retried."""

    attempt: AttemptId
    problem: Problem
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The attempt ended without a result.

    Args:
        attempt: Which one.
        cause: `crashed`, `node_lost` or `withdrawn`.
        device_seconds: What it had cost until then.
        detail: How it ended and the last lines that were printed, for people.
    """

    attempt: AttemptId
    cause: str
    device_seconds: float
    detail: str = ""


Update = Finished | AttemptFailed | Lost


class Executor(Protocol):
    """Runs measurements, each on one device, at most one per device at a time.

    Every submitted attempt gets exactly one update, also when it is cancelled, its child is
    killed or its user code raises. Methods may be called from one thread only.
    """

    def devices(self) -> tuple[DeviceSlot, ...]:
        """List the devices and what they are doing."""

    def submit(self, attempt: AttemptId, request: Request, places: Places) -> None:
        """Hand a request to a free device that fits it.

        Raises:
            NoFreeDevice: Every fitting device is busy.
        """

    def updates(self, timeout_seconds: float) -> tuple[Update, ...]:
        """Return what has ended since the last call, waiting for the first at most so long."""

    def tighten(self, attempt: AttemptId, max_steps: int) -> None:
        """Let a training run end earlier; best effort, never an error."""

    def cancel(self, attempt: AttemptId) -> None:
        """End an attempt and free its device within 2 s; its update is `Lost(withdrawn)`."""

    def attach(self) -> frozenset[AttemptId]:
        """Find attempts that outlived their controller; the local executor has none."""

    def close(self) -> None:
        """End everything and wait until the children are gone."""


class NoFreeDevice(Exception):
    """Every device that could run the request is busy; submit again after an update."""
