"""What was asked, and what came back: the only memory of a tuning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tuner.errors import Problem, UnknownRequest
from tuner.records import (
    AttemptLost,
    Failed,
    Measurement,
    Request,
    Result,
    Started,
    TrainingResult,
    TrainingRun,
)

RETRIES: Final = {"crashed": 2, "node_lost": 5}
"""Losses of one request that are forgiven, by cause; causes not named here always are."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request and everything known of it."""

    request: Request
    running: bool = True
    result: Measurement | None = None
    problem: Problem | None = None
    losses: Counter[str] = field(default_factory=Counter)
    device_seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.result is not None or self.problem is not None

    @property
    def waiting(self) -> bool:
        """Whether its attempt was lost and another one is due."""
        return not self.running and not self.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A training run that has a result."""

    request: TrainingRun
    result: TrainingResult


class History:
    """Requests in the order in which they were started."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._stages: dict[str, list[Entry]] = {}
        self._seconds: dict[str, float] = {}
        self._open: Counter[str] = Counter()
        self.device_seconds = 0.0

    def __contains__(self, request_id: str) -> bool:
        """Whether a request was started."""
        return request_id in self._entries

    def started(self, event: Started) -> None:
        """Note that a request, or another attempt at it, was handed to a device."""
        known = self._entries.get(event.request.id)
        if known is not None:
            known.running = not known.ended
            return
        entry = Entry(request=event.request)
        self._entries[event.request.id] = entry
        stage = stage_of(event.request.id)
        self._stages.setdefault(stage, []).append(entry)
        self._open[stage] += 1

    def ended(self, event: Result | Failed) -> None:
        """Note how a request ended; a second ending of the same request changes nothing."""
        entry = self._entry(event.request_id)
        if entry.ended:
            return
        entry.running = False
        self._open[stage_of(event.request_id)] -= 1
        if isinstance(event, Result):
            entry.result = event.result
            self._charge(entry, event.result.device_seconds)
        else:
            entry.problem = event.problem
            self._charge(entry, event.device_seconds)

    def lost(self, event: AttemptLost) -> None:
        """Note that an attempt was lost; past its retries the request has failed."""
        entry = self._entry(event.request_id)
        if entry.ended:
            return
        entry.running = False
        entry.losses[event.cause] += 1
        self._charge(entry, event.device_seconds)
        if entry.losses[event.cause] > RETRIES.get(event.cause, entry.losses[event.cause]):
            self._open[stage_of(event.request_id)] -= 1
            entry.problem = Problem(
                code="attempts_exhausted",
                detail=f"{event.request_id} was tried {sum(entry.losses.values())} times and "
                f"every attempt ended without a result ({event.cause}).",
            )

    def entries(self) -> list[Entry]:
        """Every entry, in the order in which it was started."""
        return list(self._entries.values())

    def of(self, stage: str) -> list[Entry]:
        """Return the entries of one stage, in the order in which they were started."""
        return self._stages.get(stage, [])

    def open(self, stage: str) -> int:
        """Count the requests of a stage that have not ended."""
        return self._open[stage]

    def get(self, request_id: str) -> Entry | None:
        """Return the entry of a request, or None if it was never started."""
        return self._entries.get(request_id)

    def runs(self, stage: str) -> list[Run]:
        """Return the training runs of a stage that have a result, in starting order."""
        return [
            Run(request=entry.request, result=entry.result)
            for entry in self.of(stage)
            if isinstance(entry.request, TrainingRun) and isinstance(entry.result, TrainingResult)
        ]

    def seconds_by_stage(self) -> dict[str, float]:
        """Device seconds of each stage that had any."""
        return dict(self._seconds)

    def _entry(self, request_id: str) -> Entry:
        entry = self._entries.get(request_id)
        if entry is None:
            raise UnknownRequest(f"{request_id} was never started")
        return entry

    def _charge(self, entry: Entry, device_seconds: float) -> None:
        entry.device_seconds += device_seconds
        self.device_seconds += device_seconds
        stage = stage_of(entry.request.id)
        self._seconds[stage] = self._seconds.get(stage, 0.0) + device_seconds


def stage_of(request_id: str) -> str:
    """Return the stage that a request belongs to: the first word of its id."""
    return request_id.partition("-")[0]
