"""Measurements in a child process, one at a time, for `tuner.tune`.

with isolated_measure(places) as measure:
    answer = tuner.tune(spec, measure=measure)
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tuner.errors import Problem, TunerError
from tuner.places import Places
from tuner.records import Measurement, Request
from tuner.tune import MeasurementLost
from workers.devices import LocalDevice, discover
from workers.executor import AttemptFailed, AttemptId, Finished, NoFreeDevice
from workers.launcher import Setup
from workers.session import DeviceSession


@contextlib.contextmanager
def isolated_measure(
    places: Places,
    *,
    devices: Iterable[LocalDevice] | None = None,
    setup: Setup | None = None,
    lock_folder: Path | None = None,
) -> Iterator[Callable[[Request], Measurement]]:
    """Measure on this machine, in a child that stays warm until the block ends.

    Args:
        places: Where things are kept.
        devices: What may be used; None for every device of the machine.
        setup: What keepers are started with; None for the one that fits each device.
        lock_folder: Where device locks lie; None for this user's own.

    Yields:
        A function from request to result. It raises `TunerError` where the workload is at
        fault, `MeasurementLost` where the child ended, `NoFreeDevice` where this machine
        has no fitting device or another service holds it. It is for one thread.
    """
    found = tuple(discover() if devices is None else devices)
    sessions: dict[str, DeviceSession] = {}
    numbers = itertools.count(1)

    def measure(request: Request) -> Measurement:
        session = _session(request.workload.accelerator)
        attempt = AttemptId(job_id="tune", request_id=request.id, number=next(numbers))
        update = session.measure(attempt, request, places)
        if isinstance(update, Finished):
            return update.result
        if isinstance(update, AttemptFailed):
            raise _raised(update.problem)
        raise MeasurementLost(update.detail or update.cause)

    def _session(accelerator: str) -> DeviceSession:
        if accelerator not in sessions:
            for device in found:
                session = DeviceSession(device, setup=setup, lock_folder=lock_folder)
                if device.accelerator == accelerator and session.claim():
                    return sessions.setdefault(accelerator, session)
            raise NoFreeDevice(f"no {accelerator} device of this machine is free")
        return sessions[accelerator]

    try:
        yield measure
    finally:
        for session in sessions.values():
            session.close()


def _raised(problem: Problem) -> TunerError:
    return TunerError(
        problem.detail,
        code=problem.code,
        pointer=problem.pointer,
        facts=problem.facts,
        traceback=problem.traceback,
    )
