"""One call: drive a study through the product's own machine, for so many seconds at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.study.document import write
from benchmarks.study.journal import Journal
from benchmarks.study.patience import patient
from benchmarks.study.subjects import Subject
from tuner.drive import CPU, drive
from tuner.measuring.dispatch import Measuring
from tuner.places import Places
from tuner.records import CapacityChanged, Measurement, Request, StepTiming
from tuner.study import Study

OWN_CODE: Final = ("benchmarks.study",)
"""Modules that a subject's entry points may lie in."""

Measure = Callable[[Request], Measurement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one call of a bench does.

    Args:
        subject: What is studied.
        work: Folder of what is kept between calls.
        results: Folder of the document and its picture.
        ends_at: `time.monotonic` after which nothing new is begun.
        retime: How often the step times are taken again, once all else is measured.
        capacity: The device.
    """

    subject: Subject
    work: Path
    results: Path
    ends_at: float
    retime: int = 0
    capacity: CapacityChanged = CPU


def studied(call: Call) -> None:
    """Drive a study to its end and write what it found.

    Raises:
        OutOfTime: The call's seconds ended first.
        TunerError: There is no answer.
    """
    folder = call.work / call.subject.name
    folder.mkdir(parents=True, exist_ok=True)
    call.subject.write(folder)
    journal = Journal(folder / "journal.jsonl")
    places = Places(
        artifacts=folder / "artifacts", file_roots=(folder,), entrypoint_prefixes=OWN_CODE
    )
    measuring = Measuring(places)

    def measure(request: Request) -> Measurement:
        return measuring.measure(request, tightened=lambda: None)

    study = _driven(call, journal, measure)
    if call.retime:
        for _ in range(call.retime):
            _time_again(study, journal, measure)
        study = _driven(call, journal, measure)
    through = journal.through(_told(measure), ends_at=call.ends_at)
    write(call.subject, study, journal, patient(study, through), call.results)


def _driven(call: Call, journal: Journal, measure: Measure) -> Study:
    return drive(
        Study(call.subject.spec),
        measure=journal.through(_told(measure), ends_at=call.ends_at),
        timeout_seconds=call.subject.spec.budget.timeout_seconds,
        capacity=call.capacity,
    )


def _time_again(study: Study, journal: Journal, measure: Measure) -> None:
    """Take the step times once more, of each rule of update."""
    for entry in study.job.history.of("timing"):
        request = entry.request
        if isinstance(request, StepTiming) and request.id.endswith("-0"):
            journal.add(request, _told(measure)(request))


def _told(measure: Measure) -> Measure:
    def telling(request: Request) -> Measurement:
        began, busy = time.monotonic(), time.process_time()
        result = measure(request)
        wall, spent = time.monotonic() - began, time.process_time() - busy
        print(f"{request.id}: {wall:.1f} s, {spent:.1f} s of a processor", flush=True)
        return result

    return telling
