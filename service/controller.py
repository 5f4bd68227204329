"""The loop between tunings and studies, store and executor.

One pass: take what has ended, look for new jobs and cancels, share the devices out, let each
job decide, commit, and only then hand measurements to devices. Whatever dies in between, the
store tells the next controller where to go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.exc import OperationalError

from service.allocation import Claim, share
from service.busy import BusyTimes
from service.kinds import Spec, facts_of
from service.live_job import LiveJob, failed_turn
from service.machine import MakeMachine
from service.reconcile import past_answers, read_spec, rebuild, sweep_artifacts
from service.settings import Settings
from service.store.database import now
from service.store.faults import fault_of
from service.store.ledger import Ledger, Superseded, Turn
from service.store.tables import Job
from tuner.errors import IncompatibleRecord, Problem, TunerError
from tuner.records import CapacityChanged, Tighten
from workers.executor import AttemptId, DeviceSlot, Executor, Lost, NoFreeDevice

QUEUE_WINDOW: Final = 64
"""Waiting jobs that are looked at: the oldest may want a device that others do not."""

FAULT_SECONDS: Final = 1.0
"""How long to wait before a full or busy database is tried again."""

_log = logging.getLogger(__name__)


class Controller:
    """Drives every job of one data folder.

    Args:
        settings: How it is deployed.
        ledger: The controller's half of the store.
        executor: Runs the measurements.
        make_machine: Makes the machine of a job, by what is asked.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        executor: Executor,
        make_machine: MakeMachine,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._executor = executor
        self._make_machine = make_machine
        self._started_at = now()
        self._beat_at = -float("inf")
        self._jobs: dict[int, LiveJob] = {}
        self._stopping = threading.Event()
        self._busy = BusyTimes()

    @property
    def jobs(self) -> tuple[LiveJob, ...]:
        """The jobs under way, the oldest first."""
        return tuple(self._jobs[number] for number in sorted(self._jobs))

    def run(self, stopping: threading.Event, ready: Callable[[], None]) -> None:
        """Drive jobs until told to stop; what runs then is ended, and goes on next time.

        Args:
            stopping: Set from a signal handler.
            ready: Called once the jobs that were under way are taken up.
        """
        self._stopping = stopping
        try:
            self.recover()
            ready()
            while not stopping.is_set():
                self.turn(self._settings.queue_interval_seconds)
        finally:
            self._executor.close()

    def recover(self) -> None:
        """Take up the jobs that were under way when the last controller ended."""
        attached = self._executor.attach()
        for job in self._ledger.live():
            self._take_up(job, attached)
        known = {one for job in self._jobs.values() for one in job.running.values()}
        for stray in attached - known:
            self._executor.cancel(stray)
        folder = self._settings.artifacts
        sweep_artifacts(folder, {job.job_id for job in self._jobs.values()})
        self._beat()

    def turn(self, timeout_seconds: float) -> None:
        """Make one pass.

        Args:
            timeout_seconds: How long to wait for the first news from a device.
        """
        for update in self._executor.updates(timeout_seconds):
            if isinstance(update, Lost) and update.cause != "withdrawn":
                _log.warning("%s was lost (%s): %s", update.attempt, update.cause, update.detail)
            for job in self._jobs.values():
                if job.job_id == update.attempt.job_id:
                    job.take(update)
        self._busy.look(self._executor.devices())
        for number in self._ledger.cancelled():
            if number in self._jobs:
                self._jobs[number].stop("cancelled")
        self._share_devices()
        for job in self.jobs:
            self._advance(job)
        self._busy.look(self._executor.devices())
        self._beat()

    # ------------------------------------------------------------------ jobs come and go

    def _take_up(self, job: Job, attached: frozenset[AttemptId]) -> None:
        try:
            self._jobs[job.number] = rebuild(job, self._ledger, self._make_machine, attached)
        except IncompatibleRecord as error:
            self._refuse(job, error.problem)

    def _share_devices(self) -> None:
        devices, live = self._executor.devices(), self.jobs
        claims = [Claim.of(job.spec, job.capacity) for job in live]
        taken = sum(grant.slots for grant in share(devices, claims) if grant)
        queued = self._look_at_queue() if taken < len(devices) else []
        grants = share(devices, claims + [Claim.of(spec, None) for _, spec in queued])
        for job, grant in zip(live, grants, strict=False):
            if grant is not None:
                job.give(grant)
            elif job.capacity is not None:
                job.give(dataclasses.replace(job.capacity, slots=0))
        for (row, spec), grant in zip(queued, grants[len(live) :], strict=True):
            self._activate(row, spec, grant)

    def _look_at_queue(self) -> list[tuple[Job, Spec]]:
        found = []
        for row in self._ledger.queued(QUEUE_WINDOW):
            try:
                found.append((row, read_spec(row)))
            except IncompatibleRecord as error:
                self._refuse(row, error.problem)
        return found

    def _activate(self, row: Job, spec: Spec, grant: CapacityChanged | None) -> None:
        if grant is None:
            wanted = spec.hardware.accelerator
            detail = f"This service has no {wanted} device: choose another one, or auto."
            problem = Problem(
                code="accelerator_unavailable", detail=detail, pointer="/hardware/accelerator"
            )
            self._refuse(row, problem)
        elif grant.slots > 0:
            machine = self._make_machine(spec, spec_digest=row.spec_digest)
            job = LiveJob(
                number=row.number,
                job_id=row.id,
                spec=spec,
                kind=row.kind,
                machine=machine,
                recall=self._ledger.recall,
                find_answer=past_answers(row, self._ledger),
            )
            job.give(grant)
            self._jobs[row.number] = job

    def _refuse(self, row: Job, problem: Problem) -> None:
        _log.error("%s cannot go on: %s", row.id, problem.detail)
        with contextlib.suppress(Superseded):
            self._commit(failed_turn(row.number, facts_of(row.kind).address(row.id), problem))

    # ------------------------------------------------------------------ one job, one pass

    def _advance(self, job: LiveJob) -> None:
        turn = _decide(job)
        if turn is not None:
            try:
                self._commit(turn)
            except Superseded:
                # Cancelled while it was still queued: nothing of it has been handed on.
                del self._jobs[job.number]
                return
        if job.state is not None:
            self._forget(job)
            return
        self._hand_over(job)
        for attempt, order in job.orders():
            if isinstance(order, Tighten):
                self._executor.tighten(attempt, order.max_steps)
            else:
                self._executor.cancel(attempt)

    def _commit(self, turn: Turn) -> None:
        """Write a turn, however long the database keeps it waiting.

        What the turn says has happened already: to give up would lose what devices measure
        meanwhile. A fault that does not pass by itself is raised, and the process starts anew.
        """
        while True:
            try:
                self._ledger.commit(turn)
            except OperationalError as error:
                fault = fault_of(error)
                if fault is None:
                    raise
                _log.warning("nothing can be recorded, the database is %s", fault)
                if self._stopping.wait(FAULT_SECONDS):
                    raise
            else:
                return

    def _hand_over(self, job: LiveJob) -> None:
        for attempt, request in tuple(job.waiting.values()):
            try:
                places = self._settings.places_of(job.job_id)
                self._executor.submit(attempt, request, places)
            except NoFreeDevice as error:
                # Another service may hold the device, or its last attempt is still ending.
                _log.debug("%s waits: %s", attempt.request_id, error)
                return
            job.handed(attempt)

    def _forget(self, job: LiveJob) -> None:
        _log.info("%s has %s", job.job_id, job.state)
        for attempt in job.running.values():
            self._executor.cancel(attempt)
        del self._jobs[job.number]
        shutil.rmtree(self._settings.places_of(job.job_id).artifacts, ignore_errors=True)

    def _beat(self) -> None:
        if time.monotonic() - self._beat_at < self._settings.heartbeat_seconds:
            return
        self._beat_at = time.monotonic()
        devices = [_device_view(slot, self._busy) for slot in self._executor.devices()]
        try:
            self._ledger.beat(pid=os.getpid(), started_at=self._started_at, devices=devices)
        except OperationalError as error:
            if fault_of(error) is None:
                raise
            _log.warning("the heartbeat cannot be written, the database is %s", fault_of(error))


def _decide(job: LiveJob) -> Turn | None:
    try:
        return job.advance()
    except TunerError as error:
        _log.exception("%s cannot go on", job.job_id)
        return job.broken(error.problem)
    except Exception:  # noqa: BLE001 - a bug in one job must not stop the others
        _log.exception("%s cannot go on", job.job_id)
        detail = "The tuning failed for no fault of yours; the service's log says more."
        return job.broken(Problem(code="internal_error", detail=detail))


def _device_view(slot: DeviceSlot, busy: BusyTimes) -> dict[str, Any]:
    view = dataclasses.asdict(slot)
    view["attempt"] = view.pop("busy_with")
    view["busy_seconds"] = round(busy.seconds(slot.id), 3)
    view["busy_share"] = round(busy.share(slot.id), 4)
    return view
