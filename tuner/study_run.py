"""Run a study in one process, with a callable that measures.

    from tuner.study_run import run_study
    findings = run_study(spec, measure=measure)

`measure` is what `tuner.tune.tune` takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tuner.drive import CPU, drive
from tuner.records import CapacityChanged, Event, Measurement, Request
from tuner.spec import StudySpec
from tuner.study import Study
from tuner.study_findings import StudyFindings


def run_study(
    spec: StudySpec,
    *,
    measure: Callable[[Request], Measurement],
    capacity: CapacityChanged = CPU,
    on_event: Callable[[Study, Event], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> StudyFindings:
    """Measure what batch size and learning rate change about one training.

    Args:
        spec: What is asked.
        measure: Measures one request; raises `TunerError` where the workload is at fault and
            `MeasurementLost` where the attempt died.
        capacity: The device that `measure` uses; one measurement runs at a time.
        on_event: Called after each event, with the study as it then is.
        clock: Seconds; counts against `budget.timeout_seconds` between measurements.

    Returns:
        All that was found; what the budget left out is said in its warnings.

    Raises:
        TunerError: Nothing was found; the problem says why.
    """
    study = drive(
        Study(spec),
        measure=measure,
        timeout_seconds=spec.budget.timeout_seconds,
        capacity=capacity,
        on_event=on_event,
        clock=clock,
    )
    assert study.answer is not None  # noqa: S101  (driven to its answer)
    return study.answer
