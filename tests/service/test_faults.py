"""The controller on a database that is full or locked: it waits, and loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import Ledger
from tests.service.consistency import assert_consistent
from tests.service.disk import Disk, locked
from tests.service.fake_executor import FakeExecutor
from tests.service.test_controller import add, controller_on, drive, has_ended, state_of


class Until(threading.Event):
    """A stop that never comes; each wait for it lets a test change the world.

    Args:
        change: Called with the number of the wait.
    """

    def __init__(self, change: Callable[[int], None]) -> None:
        super().__init__()
        self.waits = 0
        self._change = change

    def wait(self, timeout: float | None = None) -> bool:
        """Do not wait."""
        self.waits += 1
        self._change(self.waits)
        return self.is_set()


def test_a_full_disk_delays_a_job_and_costs_it_nothing(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """No measurement is repeated: the turn is written once there is room again."""
    job = add(jobs)
    executor = FakeExecutor()
    controller = controller_on(settings, ledger, executor)
    disk = Disk(database)

    def make_room(waits: int) -> None:
        disk.full = waits % 3 != 0

    controller._stopping = stopping = Until(make_room)
    drive(controller, lambda: _tighten(disk) and has_ended(jobs, job))
    assert state_of(jobs, job) == "succeeded"
    assert stopping.waits >= 3
    assert len(executor.submitted) == len(set(executor.submitted))
    assert all(attempt.number == 1 for attempt in executor.submitted)
    assert_consistent(database, job.id)


def _tighten(disk: Disk) -> bool:
    disk.full = True
    return True


def test_a_lock_of_another_process_delays_a_job_and_costs_it_nothing(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """However often the wait for it ends in vain."""
    job = add(jobs)
    executor = FakeExecutor()
    hasty = Database(settings.resolved_database_url, busy_timeout_seconds=0.01)
    controller = controller_on(settings, Ledger(hasty), executor)
    drive(controller, lambda: bool(executor.running))
    lock = locked(database)

    def let_go(waits: int) -> None:
        if waits == 3:
            lock.__exit__(None, None, None)

    controller._stopping = stopping = Until(let_go)
    lock.__enter__()
    controller._beat_at = -float("inf")
    controller.turn(0.0)
    assert stopping.waits == 3
    drive(controller, lambda: has_ended(jobs, job))
    assert state_of(jobs, job) == "succeeded"
    assert all(attempt.number == 1 for attempt in executor.submitted)
    assert_consistent(database, job.id)
    hasty.close()


def test_a_heartbeat_that_cannot_be_written_is_missed(
    settings: Settings, database: Database, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """The controller goes on, and is seen again with the next one."""
    hasty = Database(settings.resolved_database_url, busy_timeout_seconds=0.01)
    controller = controller_on(settings, Ledger(hasty), FakeExecutor())
    with locked(database):
        controller._beat_at = -float("inf")
        controller.turn(0.0)
    assert "the heartbeat cannot be written, the database is busy" in caplog.text
    hasty.close()


def test_a_stop_ends_the_waiting(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """A service that is told to end does not wait for room; the next one takes the job up."""
    job = add(jobs)
    hasty = Database(settings.resolved_database_url, busy_timeout_seconds=0.01)
    controller = controller_on(settings, Ledger(hasty), FakeExecutor())
    controller._stopping.set()
    with locked(database), pytest.raises(Exception, match="locked"):
        controller.turn(0.0)
    drive(controller_on(settings, ledger, FakeExecutor()), lambda: has_ended(jobs, job))
    assert_consistent(database, job.id)
    hasty.close()
