"""The loop of the library: a machine, a callable that measures, and a clock between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from tuner.errors import NotAnswerable, TunerError
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
from tuner.staged import Staged

CPU: Final = CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1)

MachineT = TypeVar("MachineT", bound=Staged[Any, Any])


class MeasurementLost(Exception):
    """Raised by a `measure` whose attempt died without a result; it is tried again."""


def drive(
    machine: MachineT,
    *,
    measure: Callable[[Request], Measurement],
    timeout_seconds: float,
    capacity: CapacityChanged = CPU,
    recall: Callable[[str], Knowledge | None] | None = None,
    on_event: Callable[[MachineT, Event], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> MachineT:
    """Drive a fresh machine to its answer, one measurement at a time.

    Args:
        machine: What is driven.
        measure: Measures one request; raises `TunerError` where the workload is at fault and
            `MeasurementLost` where the attempt died.
        timeout_seconds: Once they have passed between two measurements, it is told to stop.
        capacity: The device that `measure` uses.
        recall: Looks up what past jobs know, by key; asked once.
        on_event: Called after each event, with the machine as it then is.
        clock: Seconds.

    Returns:
        The machine, with its answer.

    Raises:
        TunerError: There is no answer; the problem says why.
    """
    started_at = clock()

    def apply(event: Event) -> None:
        machine.apply(event)
        if on_event is not None:
            on_event(machine, event)

    apply(capacity)
    asked = recall is None
    while not machine.finished:
        if not asked and recall is not None and machine.question is not None:
            asked, known = True, recall(machine.question)
            if known is not None:
                apply(Recalled(knowledge=known))
        if clock() - started_at > timeout_seconds:
            apply(Stop(reason="timeout"))
            continue
        starts = [action for action in machine.actions() if isinstance(action, Start)]
        if not starts:
            raise NotAnswerable(f"there is nothing to do in stage {machine.stage}")
        apply(Started(request=starts[0].request))
        apply(_attempt(starts[0].request, measure, clock))
    if machine.failure is not None:
        raise TunerError.of(machine.failure)
    if machine.answer is None:
        raise NotAnswerable("the job was cancelled", code="cancelled")
    return machine


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
