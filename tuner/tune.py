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
from typing import Final

from tuner.errors import NotAnswerable, TunerError
from tuner.recommendation import Recommendation
from tuner.records import (
    AttemptLost,
    CapacityChanged,
    Event,
    Failed,
    Knowledge,
    Measurement,
    Recalled,
    Request,
    Result,
    Start,
    Started,
    Stop,
)
from tuner.spec import TuningSpec
from tuner.tuning import Tuning

CPU: Final = CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1)


class MeasurementLost(Exception):
    """Raised by a `measure` whose attempt died without a result; it is tried again."""


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
    tuning = Tuning(spec)
    started_at = clock()

    def apply(event: Event) -> None:
        tuning.apply(event)
        if on_event is not None:
            on_event(tuning, event)

    apply(capacity)
    asked = recall is None
    while not tuning.finished:
        if not asked and recall is not None and tuning.question is not None:
            asked, known = True, recall(tuning.question)
            if known is not None:
                apply(Recalled(knowledge=known))
        if clock() - started_at > spec.budget.timeout_seconds:
            apply(Stop(reason="timeout"))
            continue
        starts = [action for action in tuning.actions() if isinstance(action, Start)]
        if not starts:
            raise NotAnswerable(f"the tuning has nothing to do in stage {tuning.stage}")
        apply(Started(request=starts[0].request))
        apply(_attempt(starts[0].request, measure, clock))
    if tuning.answer is not None:
        return tuning.answer
    if tuning.failure is not None:
        raise TunerError.of(tuning.failure)
    raise NotAnswerable("the tuning was cancelled", code="cancelled")


def _attempt(
    request: Request, measure: Callable[[Request], Measurement], clock: Callable[[], float]
) -> Event:
    began = clock()
    try:
        return Result(request_id=request.id, result=measure(request))
    except MeasurementLost:
        return AttemptLost(request_id=request.id, cause="crashed", device_seconds=clock() - began)
    except TunerError as error:
        return Failed(request_id=request.id, problem=error.problem, device_seconds=clock() - began)
