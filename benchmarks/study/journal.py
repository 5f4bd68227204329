"""What a study has measured, one line of JSON each, so that a later call goes on from there.

The study itself keeps nothing: driven again from its beginning, it asks for the same things in
the same order and is given what the lines hold. So every call goes through the product's own
machine, and only what is new is measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tuner.records import Measurement, Request, StepTiming, TimingMeasurement
from tuner.records.codec import decode, encode

LIMITS: Final = frozenset({"id", "deadline_seconds"})
"""What a request may be asked for differently and still be the same measurement."""


class OutOfTime(Exception):
    """The call's seconds ended before everything was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measurement.

    Args:
        key: SHA-256 of its request.
        result: What came back.
        load_average: Of the machine over the last minute, when it ended.
    """

    key: str
    result: Measurement
    load_average: float


class Journal:
    """The lines of one study.

    Args:
        path: The file; made with its folder when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: list[Line] = list(_lines_of(path))

    def through(
        self, measure: Callable[[Request], Measurement], *, ends_at: float
    ) -> Callable[[Request], Measurement]:
        """Make a `measure` that measures only what no line holds.

        Args:
            measure: Measures a request.
            ends_at: `time.monotonic` after which nothing new is begun.

        Returns:
            The callable; it raises `OutOfTime` where the time is over.
        """

        def known_or_measured(request: Request) -> Measurement:
            known = [line.result for line in self.lines if line.key == key_of(request)]
            if isinstance(request, StepTiming):
                asked = int(request.id.rpartition("-")[2])
                known = known if len(known) > asked else []
            if not known:
                if time.monotonic() >= ends_at:
                    raise OutOfTime
                known = [self.add(request, measure(request))]
            return _of_timings(request, self, known)

        return known_or_measured

    def add(self, request: Request, result: Measurement) -> Measurement:
        """Keep a measurement, on the disk first."""
        line = Line(key=key_of(request), result=result, load_average=os.getloadavg()[0])
        written = {"key": line.key, "load_average": line.load_average, "result": encode(result)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(written) + "\n")
        self.lines.append(line)
        return result

    def timings(self, request: Request) -> list[TimingMeasurement]:
        """Return every timing of the same sizes, in the order in which they were taken."""
        results = (line.result for line in self.lines if line.key == key_of(request))
        return [result for result in results if isinstance(result, TimingMeasurement)]


def key_of(request: Request) -> str:
    """Name a request by all that decides what is measured."""
    plain: dict[str, Any] = encode(request)
    parts = {name: value for name, value in plain.items() if name not in LIMITS}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def pass_total(timing: TimingMeasurement) -> float:
    """Add up the seconds of one step of every size: the busier the machine, the more."""
    return sum(one.pass_seconds + one.optimizer_seconds for one in timing.passes)


def quietest(timings: list[TimingMeasurement]) -> TimingMeasurement:
    """Return the timing in which everything together took least.

    On a shared machine others only add. It is taken whole, so that all sizes share its state.
    """
    return min(timings, key=pass_total)


def _of_timings(request: Request, journal: Journal, known: list[Measurement]) -> Measurement:
    if not isinstance(request, StepTiming):
        return known[-1]
    asked = int(request.id.rpartition("-")[2])
    timings = journal.timings(request)
    return replace(quietest(timings), device_seconds=timings[asked].device_seconds)


def _lines_of(path: Path) -> list[Line]:
    if not path.exists():
        return []
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            plain = json.loads(text)
        except json.JSONDecodeError:
            continue  # what a killed call left half written costs itself alone
        found.append(
            Line(
                key=plain["key"],
                result=decode(plain["result"]),
                load_average=plain["load_average"],
            )
        )
    return found
