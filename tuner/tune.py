"""Tune in one process, with a callable that measures: the library's front door.

    from tuner.tune import tune
    answer = tune(spec, measure=measure)

`measure` takes a request and returns its measurement. `tuner.measuring` measures in this very
process; `workers` supplies one that measures in a child, so that running out of memory or
crashing costs an attempt and not the tuning.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tuner.drive import CPU, MeasurementLost, drive
from tuner.recommendation import Recommendation
from tuner.records import CapacityChanged, Event, Knowledge, Measurement, Request
from tuner.spec import TuningSpec
from tuner.tuning import Tuning

__all__ = ["CPU", "MeasurementLost", "tune"]


def tune(
    spec: TuningSpec,
    *,
    measure: Callable[[Request], Measurement],
    capacity: CapacityChanged = CPU,
    recall: Callable[[str], Knowledge | None] | None = None,
    on_event: Callable[[Tuning, Event], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Recommendation:
    """Answer one spec.

    Args:
        spec: What is asked.
        measure: Measures one request; raises `TunerError` where the workload is at fault and
            `MeasurementLost` where the attempt died.
        capacity: The device that `measure` uses; one measurement runs at a time.
        recall: Looks up what a past tuning of the same workload knows (`Tuning.learned`), by
            its key; asked once, after the inspection.
        on_event: Called after each event, with the tuning as it then is.
        clock: Seconds; counts against `budget.timeout_seconds` between measurements.

    Returns:
        The recommendation.

    Raises:
        TunerError: There is no answer; the problem says why.
    """
    tuning = drive(
        Tuning(spec),
        measure=measure,
        timeout_seconds=spec.budget.timeout_seconds,
        capacity=capacity,
        recall=recall,
        on_event=on_event,
        clock=clock,
    )
    assert tuning.answer is not None  # noqa: S101  (driven to its answer)
    return tuning.answer
