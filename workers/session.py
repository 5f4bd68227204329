"""One device and the one child that measures on it.

The child stays warm for consecutive measurements of a job: torch is loaded, the data lie on
the device, the context is up. It is replaced when

- the job or its places change,
- it crashed, was withdrawn, ran out of memory or met a fault of the workload: whatever an
  exception left on the device would be held against the next measurement,
- a memory trial comes, or has been: a trial wants an allocator that has seen nothing, and one
  that has been near the limit is fragmented, which later step times would show as allocation
  retries. The price is one fork, some milliseconds, and loading the data once more.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tuner.places import Places
from tuner.records import (
    Measurement,
    MemoryMeasurement,
    MemoryTrial,
    Outcome,
    Request,
    StackedResults,
    StudyOutcome,
    StudyRunResult,
    TrainingResult,
)
from workers.devices import LocalDevice
from workers.executor import AttemptFailed, AttemptId, DeviceSlot, Finished, Lost, Update
from workers.exit_class import (
    Exit,
    ExitClass,
    classify,
    describe,
    killed_for_memory,
    limit_seconds,
)
from workers.launcher import START_SECONDS, Launcher, Setup
from workers.locks import DeviceLock, default_folder
from workers.messages import Done, Fault, Measure, Message, Ping, Pong, ProtocolError, TightenRun
from workers.preload import worth_loading
from workers.warm import ChildLost, WarmChild

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Running:
    """The attempt that runs now."""

    attempt: AttemptId
    began: float
    withdrawn: bool = False
    overdue: bool = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class DeviceSession:
    """Runs measurements on one device, one after the other.

    `measure`, `ping` and `close` belong to one thread at a time; `tighten`, `cancel` and
    `slot` may be called from any other meanwhile.

    Args:
        device: What to measure on.
        setup: What the keeper is started with; None for the one that fits the device.
        lock_folder: Where device locks lie; None for this user's own.
    """

    def __init__(
        self,
        device: LocalDevice,
        *,
        setup: Setup | None = None,
        lock_folder: Path | None = None,
    ) -> None:
        self.device = device
        self._setup = setup or Setup(visible_devices=device.visible_devices)
        self._lock = DeviceLock(
            lock_folder or default_folder(), device.visible_devices or device.id
        )
        self._warm = WarmChild(self._launch)
        self._spent = self._warned = False
        self._guard = threading.Lock()
        self._running: _Running | None = None
        self._rested_at = time.monotonic()
        self._pings = itertools.count(1)

    def slot(self) -> DeviceSlot:
        """Describe the device and what it is doing."""
        with self._guard:
            running = self._running
        return DeviceSlot(
            id=self.device.id,
            accelerator=self.device.accelerator,
            kind=self.device.kind,
            name=self.device.name,
            memory_bytes=self.device.memory_bytes,
            busy_with=running.attempt if running else None,
            child_pid=self._warm.pid,
            child_restarts=max(0, self._warm.started - 1),
        )

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last measurement ended."""
        return time.monotonic() - self._rested_at

    def claim(self) -> bool:
        """Make sure that no other service of this user measures here.

        A card that is held elsewhere is refused. The processor is everybody's: there the
        other service is only warned of, since both will see slower steps.

        Returns:
            Whether the device may be used.
        """
        if self._lock.acquire():
            return True
        if self.device.accelerator != "cpu":
            return False
        if not self._warned:
            logger.warning("Another service measures on this processor: step times will be off.")
            self._warned = True
        return True

    def expect(self, attempt: AttemptId) -> None:
        """Take an attempt on that another thread will measure, so that it can be cancelled."""
        self._expect(attempt)

    def measure(self, attempt: AttemptId, request: Request, places: Places) -> Update:
        """Measure one request; returns once it is answered or its child is gone.

        Args:
            attempt: Which try this is.
            request: What to measure.
            places: Where the deployment keeps things.

        Returns:
            Exactly one update.
        """
        running = self._expect(attempt)
        try:
            return self._answered(running, request, self._answer(running, request, places))
        except ChildLost as lost:
            return _without_answer(running, request, lost)
        finally:
            with self._guard:
                self._running = None
                self._rested_at = time.monotonic()

    def ping(self) -> float:
        """Send an empty request to the warm child.

        Returns:
            Seconds until the answer.

        Raises:
            ChildLost: There is no warm child, or it did not answer.
        """
        began = time.monotonic()
        number = next(self._pings)
        self._warm.ask(Ping(number=number))
        if self._warm.answer(began + START_SECONDS) != Pong(number=number):
            self._warm.retire()
            raise ChildLost(None)
        return time.monotonic() - began

    def tighten(self, attempt: AttemptId, max_steps: int) -> None:
        """Let the training run of an attempt end earlier; best effort, never an error."""
        with self._guard:
            if self._running is None or self._running.attempt != attempt:
                return
        self._warm.tell(TightenRun(request_id=attempt.request_id, max_steps=max_steps))

    def cancel(self, attempt: AttemptId) -> None:
        """End an attempt: `measure` returns `Lost(withdrawn)` within 2 s, its child gone."""
        with self._guard:
            if self._running is None or self._running.attempt != attempt:
                return
            self._running.withdrawn = True
            self._warm.stop()

    def close(self) -> None:
        """End the keeper and its child and let go of the device, until the next request."""
        self._warm.close()
        self._lock.release()

    def _expect(self, attempt: AttemptId) -> _Running:
        with self._guard:
            if self._running is None or self._running.attempt != attempt:
                self._running = _Running(attempt=attempt, began=time.monotonic())
                self._warm.allow()
            return self._running

    def _launch(self) -> Launcher:
        held = self._lock.descriptor
        return Launcher(self._setup, inherit=() if held is None else (held,))

    def _answer(self, running: _Running, request: Request, places: Places) -> Message:
        fresh = self._spent or isinstance(request, MemoryTrial)
        self._warm.prepare(
            running.attempt.job_id,
            places,
            fresh=fresh,
            modules=worth_loading(request.workload),
        )
        self._spent = False
        limit = limit_seconds(request)
        try:
            self._warm.ask(Measure(request=request))
        except ProtocolError as error:
            raise ChildLost(None, str(error)) from error
        answer = self._warm.answer(None if limit is None else time.monotonic() + limit)
        if answer is None:
            running.overdue = True
            self._warm.retire()
            raise ChildLost(None)
        return answer

    def _answered(self, running: _Running, request: Request, answer: Message) -> Update:
        match answer:
            case Done(request_id=request.id, result=result):
                self._spent = isinstance(request, MemoryTrial) or _out_of_memory(result)
                return Finished(attempt=running.attempt, result=result)
            case Fault(request_id=request.id, problem=problem, device_seconds=seconds):
                self._spent = True
                return AttemptFailed(
                    attempt=running.attempt, problem=problem, device_seconds=seconds
                )
            case _:
                self._warm.retire()
                raise ChildLost(None, f"It answered with {type(answer).__name__}.")


def _without_answer(running: _Running, request: Request, lost: ChildLost) -> Update:
    ended = Exit(
        code=lost.code,
        withdrawn=running.withdrawn,
        overdue=running.overdue,
        started=lost.started,
    )
    exit_class = classify(request, ended)
    if exit_class is ExitClass.OUT_OF_MEMORY and isinstance(request, MemoryTrial):
        result = killed_for_memory(request, running.seconds)
        return Finished(attempt=running.attempt, result=result)
    return Lost(
        attempt=running.attempt,
        cause=exit_class.value,
        device_seconds=running.seconds,
        detail="\n".join(part for part in (describe(ended), lost.printed) if part),
    )


def _out_of_memory(result: Measurement) -> bool:
    match result:
        case MemoryMeasurement(out_of_memory=out_of_memory):
            return out_of_memory
        case TrainingResult(outcome=outcome):
            return outcome is Outcome.OUT_OF_MEMORY
        case StudyRunResult(outcome=study_outcome):
            return study_outcome is StudyOutcome.OUT_OF_MEMORY
        case StackedResults(results=results):
            return any(_out_of_memory(each) for each in results)
        case _:
            return False
