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
    StackedResults,
    StackedRuns,
    Started,
    TrainingResult,
    TrainingRun,
)

RETRIES: Final = {"crashed": 2, "node_lost": 5}
"""Losses of one request that are forgiven, by cause; causes not named here always are."""

STACK_RETRIES: Final = {**RETRIES, "crashed": 1}
"""The same for runs side by side: sooner than a lone run they are tried in another way."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request and everything known of it.

    The runs of a stack have entries of their own. As long as they are trained side by side,
    only the entry of the stack is running or waiting.
    """

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
    """Requests in the order in which they were started.

    What runs side by side is one request to a device, and so many runs to everybody else.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._handed: dict[str, Entry] = {}
        self._stages: dict[str, list[Entry]] = {}
        self._seconds: dict[str, float] = {}
        self._open: Counter[str] = Counter()
        self.device_seconds = 0.0

    def __contains__(self, request_id: str) -> bool:
        """Whether a request was started."""
        return request_id in self._entries

    def started(self, event: Started) -> None:
        """Note that a request, or another attempt at it, was handed to a device."""
        request = event.request
        known = self._handed.get(request.id)
        if known is not None:
            known.running = not known.ended
        elif isinstance(request, StackedRuns):
            self._handed[request.id] = Entry(request=request)
            for run in request.runs:
                self._add(Entry(request=run, running=False))
        else:
            entry = self._handed[request.id] = Entry(request=request)
            self._add(entry)

    def ended(self, event: Result | Failed) -> None:
        """Note how a request ended; a second ending of the same request changes nothing."""
        entry = self._entry(event.request_id)
        if entry.ended:
            return
        entry.running = False
        if isinstance(event, Failed):
            self._charge(entry, event.device_seconds)
            self._fail(entry, event.problem)
        elif isinstance(entry.request, StackedRuns):
            self._unfold(entry, entry.request, event.result)
        else:
            self._close(entry, event.result)

    def lost(self, event: AttemptLost) -> None:
        """Note that an attempt was lost; past its retries the request has failed."""
        entry = self._entry(event.request_id)
        if entry.ended:
            return
        entry.running = False
        entry.losses[event.cause] += 1
        self._charge(entry, event.device_seconds)
        retries = STACK_RETRIES if isinstance(entry.request, StackedRuns) else RETRIES
        if entry.losses[event.cause] > retries.get(event.cause, entry.losses[event.cause]):
            problem = Problem(
                code="attempts_exhausted",
                detail=f"{event.request_id} was tried {sum(entry.losses.values())} times and "
                f"every attempt ended without a result ({event.cause}).",
            )
            self._fail(entry, problem)

    def entries(self) -> list[Entry]:
        """Every request, runs side by side one by one, in the order they were started."""
        return list(self._entries.values())

    def handed(self) -> list[Entry]:
        """Every request as devices were given it: runs side by side are one of them."""
        return list(self._handed.values())

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
        entry = self._handed.get(request_id)
        if entry is None:
            raise UnknownRequest(f"{request_id} was never started")
        return entry

    def _add(self, entry: Entry) -> None:
        stage = stage_of(entry.request.id)
        self._entries[entry.request.id] = entry
        self._stages.setdefault(stage, []).append(entry)
        self._open[stage] += 1

    def _close(self, entry: Entry, result: Measurement) -> None:
        entry.result = result
        self._open[stage_of(entry.request.id)] -= 1
        self._charge(entry, result.device_seconds)

    def _unfold(self, entry: Entry, stack: StackedRuns, result: Measurement) -> None:
        """Give each run of a stack its own result."""
        entry.result = result
        each = result.shared if isinstance(result, StackedResults) else ()
        for run, its_own in zip(stack.runs, each, strict=True):
            self._close(self._entries[run.id], its_own)

    def _fail(self, entry: Entry, problem: Problem) -> None:
        """End a request that cannot be measured; runs side by side go on one by one.

        Whether the runs or their being together was at fault, each will show alone.
        """
        entry.problem = problem
        if isinstance(entry.request, StackedRuns):
            for run in entry.request.runs:
                self._handed[run.id] = self._entries[run.id]
        else:
            self._open[stage_of(entry.request.id)] -= 1

    def _charge(self, entry: Entry, device_seconds: float) -> None:
        entry.device_seconds += device_seconds
        self.device_seconds += device_seconds
        stage = stage_of(entry.request.id)
        self._seconds[stage] = self._seconds.get(stage, 0.0) + device_seconds


def stage_of(request_id: str) -> str:
    """Return the stage that a request belongs to: the first word of its id."""
    return request_id.partition("-")[0]
