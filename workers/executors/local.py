"""The devices of this machine, one session each: no daemon, no open port."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tuner.places import Places
from tuner.records import Request
from workers.devices import LocalDevice, discover
from workers.executor import AttemptId, DeviceSlot, Lost, NoFreeDevice, Update
from workers.exit_class import Training
from workers.launcher import Setup
from workers.session import DeviceSession

REST_AFTER_SECONDS: Final = 60.0
"""An idle child is ended after so long, so that its memory and its card are free again."""


class LocalExecutor:
    """Runs attempts on the devices of this machine.

    A thread waits for each running attempt and leaves its update in a queue. Children die
    with this process, so there is never an attempt to attach to.

    Args:
        devices: What to measure on; None for every device of the machine.
        lock_folder: Where device locks lie; None for this user's own.
        rest_after_seconds: When an idle child is ended.
        setup: What keepers are started with; None for the one that fits each device.
    """

    def __init__(
        self,
        devices: Iterable[LocalDevice] | None = None,
        *,
        lock_folder: Path | None = None,
        rest_after_seconds: float = REST_AFTER_SECONDS,
        setup: Setup | None = None,
    ) -> None:
        found = discover() if devices is None else devices
        self._sessions = tuple(
            DeviceSession(device, setup=setup, lock_folder=lock_folder) for device in found
        )
        self._rest_after_seconds = rest_after_seconds
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._threads: dict[AttemptId, tuple[DeviceSession, threading.Thread]] = {}
        self._served: dict[str, str] = {}

    def devices(self) -> tuple[DeviceSlot, ...]:
        """List the devices and what they are doing."""
        return tuple(session.slot() for session in self._sessions)

    def submit(self, attempt: AttemptId, request: Request, places: Places) -> None:
        """Hand a request to a free device that fits it, one that served its job if it can.

        Raises:
            NoFreeDevice: Every fitting device is busy, or there is none.
        """
        session = self._free_session(attempt, request)
        thread = threading.Thread(
            target=self._run,
            args=(session, attempt, request, places),
            name=f"attempt on {session.device.id}",
            daemon=True,
        )
        session.expect(attempt)
        self._served[session.device.id] = attempt.job_id
        self._threads[attempt] = (session, thread)
        thread.start()

    def updates(self, timeout_seconds: float) -> tuple[Update, ...]:
        """Return what has ended since the last call, waiting for the first at most so long."""
        self._rest_idle()
        ended = []
        try:
            ended.append(self._updates.get(timeout=max(timeout_seconds, 0.0)))
            while True:
                ended.append(self._updates.get_nowait())
        except queue.Empty:
            pass
        for update in ended:
            _, thread = self._threads.pop(update.attempt)
            thread.join()
        return tuple(ended)

    def tighten(self, attempt: AttemptId, max_steps: int) -> None:
        """Let a training run end earlier; best effort, never an error."""
        if attempt in self._threads:
            self._threads[attempt][0].tighten(attempt, max_steps)

    def cancel(self, attempt: AttemptId) -> None:
        """End an attempt and free its device within 2 s; its update is `Lost(withdrawn)`.

        Returns at once. An attempt that has ended meanwhile keeps the update it has.
        """
        if attempt in self._threads:
            self._threads[attempt][0].cancel(attempt)

    def attach(self) -> frozenset[AttemptId]:
        """Find nothing: children die with the process that started them."""
        return frozenset()

    def close(self) -> None:
        """End everything and wait until the children are gone."""
        for attempt, (session, _) in self._threads.items():
            session.cancel(attempt)
        for _, thread in self._threads.values():
            thread.join()
        for session in self._sessions:
            session.close()

    def _free_session(self, attempt: AttemptId, request: Request) -> DeviceSession:
        fitting = [s for s in self._sessions if _fits(s.device, request)]
        if not fitting:
            raise NoFreeDevice(f"this machine has no device for {_wish(request)}")
        taken = {session.device.id for session, _ in self._threads.values()}
        free = [session for session in fitting if session.device.id not in taken]
        for session in sorted(free, key=lambda each: self._strangeness(each, attempt)):
            if session.claim():
                return session
        raise NoFreeDevice(f"every device for {_wish(request)} is busy")

    def _strangeness(self, session: DeviceSession, attempt: AttemptId) -> int:
        """Order devices: warm for this job, then cold, then warm for another job."""
        if session.slot().child_pid is None:
            return 1
        return 0 if self._served.get(session.device.id) == attempt.job_id else 2

    def _run(
        self, session: DeviceSession, attempt: AttemptId, request: Request, places: Places
    ) -> None:
        began = time.monotonic()
        try:
            update = session.measure(attempt, request, places)
        except Exception as error:  # noqa: BLE001 - every attempt gets its update
            update = Lost(
                attempt=attempt,
                cause="crashed",
                device_seconds=time.monotonic() - began,
                detail=f"{type(error).__name__}: {error}",
            )
        self._updates.put(update)

    def _rest_idle(self) -> None:
        taken = {session.device.id for session, _ in self._threads.values()}
        for session in self._sessions:
            idle = session.device.id not in taken
            if idle and session.idle_seconds > self._rest_after_seconds:
                session.close()


def _fits(device: LocalDevice, request: Request) -> bool:
    """Whether a device may run a request: steps are never counted with another kind's time."""
    if isinstance(request, Training) and request.device_kind != device.kind:
        return False
    return request.workload.accelerator == device.accelerator


def _wish(request: Request) -> str:
    if isinstance(request, Training):
        return request.device_kind
    return request.workload.accelerator
