"""The loop: what it drives, in which order, and what a crash at any point leaves behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from service.controller import Controller
from service.settings import Settings
from service.store import tables
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import Ledger, Turn
from service.store.migrate import migrate
from service.store.tables import Job, Record
from tests.service.consistency import assert_consistent
from tests.service.fake_executor import SPEC, FakeExecutor, slot
from tests.tuner.world import World
from tuner.records import CapacityChanged, StackedRuns
from tuner.spec import digest
from tuner.tuning import Tuning

MAX_TURNS = 2000


def add(jobs: Jobs, **parts: Any) -> Job:
    """Queue a job of the small request, some parts of it replaced."""
    spec = {**SPEC, **parts}
    return jobs.create(spec, digest(spec), max_queued=100)


def controller_on(
    settings: Settings, ledger: Ledger, executor: FakeExecutor, make: Any = Tuning
) -> Controller:
    """A controller that has taken up what was under way."""
    controller = Controller(settings=settings, ledger=ledger, executor=executor, make_machine=make)
    controller.recover()
    return controller


def drive(controller: Controller, until: Callable[[], bool]) -> None:
    """Make passes until something holds."""
    for _ in range(MAX_TURNS):
        if until():
            return
        controller.turn(0.0)
    pytest.fail("the controller makes no headway")


def state_of(jobs: Jobs, job: Job) -> str:
    """State of a job as people see it."""
    found = jobs.get(job.id)
    assert found is not None
    return found.state


def has_ended(jobs: Jobs, *some: Job) -> bool:
    """Whether every one of these jobs has ended."""
    return all(state_of(jobs, job) in tables.TERMINAL for job in some)


def test_a_job_is_driven_to_its_answer(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """A queued job passes through every stage and ends with the answer of its machine."""
    job = add(jobs)
    controller = controller_on(settings, ledger, FakeExecutor())
    drive(controller, lambda: has_ended(jobs, job))
    found = jobs.get(job.id)
    assert found is not None
    assert found.state == "succeeded", found.problem
    assert found.answer["spec_digest"] == job.spec_digest
    assert found.stage == "recommend"
    assert found.started_at is not None
    assert found.finished_at is not None
    assert_consistent(database, job.id)
    assert controller.jobs == ()


def test_a_started_event_is_committed_before_the_device_gets_it(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """Whatever a device is given is in the store already."""
    job = add(jobs)

    class Watching(FakeExecutor):
        def submit(self, attempt: Any, request: Any, places: Any) -> None:
            history = ledger.history(job.number)
            assert history.alive[attempt.request_id] == attempt.number
            super().submit(attempt, request, places)

    executor = Watching()
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: has_ended(jobs, job))
    assert executor.submitted


def test_a_lost_attempt_is_tried_again_under_the_next_number(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """A crash costs an attempt, not the job; the request keeps its id."""
    job = add(jobs)
    executor = FakeExecutor()
    executor.crash_next = True
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: has_ended(jobs, job))
    assert state_of(jobs, job) == "succeeded"
    first, second, *_ = executor.submitted
    assert (first.request_id, first.number) == (second.request_id, 1)
    assert second.number == 2
    assert_consistent(database, job.id)


def on_stack(controller: Controller, executor: FakeExecutor) -> str:
    """Drive until runs of the race are side by side on the device; the id of their request."""

    def found() -> list[str]:
        return [one.id for one in executor.running.values() if isinstance(one, StackedRuns)]

    drive(controller, lambda: bool(found()))
    return found()[0]


def test_a_stack_that_crashes_is_tried_again_and_then_split(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """The first crash costs the stack an attempt; after the second its runs go on one by one."""
    job = add(jobs)
    executor = FakeExecutor(world=World(stack_gain=4.0))
    controller = controller_on(settings, ledger, executor)
    stack = on_stack(controller, executor)
    executor.crash_next = True
    controller.turn(0.0)
    assert_consistent(database, job.id)
    assert on_stack(controller, executor) == stack
    executor.crash_next = True
    controller.turn(0.0)
    assert_consistent(database, job.id)
    drive(controller, lambda: has_ended(jobs, job))
    assert state_of(jobs, job) == "succeeded"
    tries = [one.number for one in executor.submitted if one.request_id == stack]
    alone = [one.number for one in executor.submitted if one.request_id == "race-0-3"]
    assert (tries, alone) == ([1, 2], [1])
    assert_consistent(database, job.id)


def test_a_stack_outlives_its_controller_and_can_be_cancelled(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """The next controller offers the stack again; a cancel withdraws it."""
    job = add(jobs)
    executor = FakeExecutor(world=World(stack_gain=4.0))
    stack = on_stack(controller_on(settings, ledger, executor), executor)
    executor = FakeExecutor(world=World(stack_gain=4.0))
    controller = controller_on(settings, ledger, executor)
    assert on_stack(controller, executor) == stack
    executor.held = True
    jobs.cancel(job.id)
    controller.turn(0.0)
    assert [one.request_id for one in executor.cancelled] == [stack]
    controller.turn(0.0)
    assert state_of(jobs, job) == "cancelled"
    assert_consistent(database, job.id)


def test_news_of_an_old_attempt_are_dropped(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """An attempt that was given up cannot report any more."""
    job = add(jobs)
    executor = FakeExecutor()
    controller = controller_on(settings, ledger, executor)
    controller.turn(0.0)
    attempt, request = next(iter(executor.running.items()))
    late = type(attempt)(job_id=job.id, request_id=attempt.request_id, number=7)
    executor.running = {late: request}
    controller.turn(0.0)
    assert ledger.history(job.number).alive == {attempt.request_id: 1}


def test_a_queued_job_is_cancelled_at_once(settings: Settings, jobs: Jobs, ledger: Ledger) -> None:
    """Nothing of it ever runs."""
    job = add(jobs)
    jobs.cancel(job.id)
    executor = FakeExecutor()
    controller = controller_on(settings, ledger, executor)
    controller.turn(0.0)
    assert state_of(jobs, job) == "cancelled"
    assert executor.submitted == []


def test_a_running_job_is_cancelled_when_its_device_is_free(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """It is `cancelling` until its attempt has ended, then `cancelled`."""
    job = add(jobs)
    executor = FakeExecutor()
    executor.held = True
    controller = controller_on(settings, ledger, executor)
    controller.turn(0.0)
    jobs.cancel(job.id)
    assert state_of(jobs, job) == "cancelling"
    controller.turn(0.0)
    assert executor.cancelled == executor.submitted
    controller.turn(0.0)
    assert state_of(jobs, job) == "cancelled"
    assert_consistent(database, job.id)


def test_a_job_that_waits_for_a_device_can_be_cancelled(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """A start that no device has taken yet is withdrawn without one."""
    job = add(jobs)
    executor = FakeExecutor()
    executor.busy_elsewhere = True
    controller = controller_on(settings, ledger, executor)
    controller.turn(0.0)
    jobs.cancel(job.id)
    controller.turn(0.0)
    assert state_of(jobs, job) == "cancelled"
    assert executor.submitted == []
    assert_consistent(database, job.id)


def test_a_start_waits_until_its_device_is_free(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """A device that another service holds delays a job, and does not fail it."""
    job = add(jobs)
    executor = FakeExecutor()
    executor.busy_elsewhere = True
    controller = controller_on(settings, ledger, executor)
    controller.turn(0.0)
    controller.turn(0.0)
    executor.busy_elsewhere = False
    drive(controller, lambda: has_ended(jobs, job))
    assert state_of(jobs, job) == "succeeded"


def test_a_timeout_ends_the_search(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """A job whose time is over is stopped, and says so if it knows nothing yet."""
    job = add(jobs, budget={"timeout_seconds": 1e-6})
    executor = FakeExecutor()
    executor.held = True
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: has_ended(jobs, job))
    found = jobs.get(job.id)
    assert found is not None
    assert found.state == "failed"
    assert found.problem["code"] == "budget_exhausted"
    assert_consistent(database, job.id)


def test_jobs_run_in_the_order_of_arrival(settings: Settings, jobs: Jobs, ledger: Ledger) -> None:
    """On one device the second job waits for the first one."""
    first, second = add(jobs), add(jobs)
    executor = FakeExecutor()
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: has_ended(jobs, first, second))
    order = [attempt.job_id for attempt in executor.submitted]
    assert order == sorted(order, key=[first.id, second.id].index)


def test_two_devices_serve_two_jobs_at_once(settings: Settings, jobs: Jobs, ledger: Ledger) -> None:
    """A job that wants one device leaves the other one to the next job."""
    some = [add(jobs), add(jobs)]
    executor = FakeExecutor(slot("cpu"), slot("cpu2"))
    executor.held = True
    controller = controller_on(settings, ledger, executor)
    controller.turn(0.0)
    assert {attempt.job_id for attempt in executor.running} == {job.id for job in some}


def test_a_change_of_capacity_is_recorded(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """A device that goes away pauses its job, and its return lets it go on."""
    job = add(jobs)
    executor = FakeExecutor()
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: len(executor.submitted) > 3)
    devices, executor.slots = executor.slots, []
    for _ in range(5):
        controller.turn(0.0)
    executor.slots = devices
    drive(controller, lambda: has_ended(jobs, job))
    told = [e for e in ledger.history(job.number).events if isinstance(e, CapacityChanged)]
    assert [capacity.slots for capacity in told] == [1, 0, 1]
    assert state_of(jobs, job) == "succeeded"
    assert_consistent(database, job.id)


def test_a_job_for_a_card_that_is_not_there_fails(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """It does not wait for ever; the problem names the field."""
    job = add(jobs, hardware={"accelerator": "cuda"})
    controller = controller_on(settings, ledger, FakeExecutor())
    controller.turn(0.0)
    found = jobs.get(job.id)
    assert found is not None
    assert found.state == "failed"
    assert found.problem["code"] == "accelerator_unavailable"
    assert found.problem["errors"][0]["pointer"] == "/hardware/accelerator"


def test_a_bug_in_one_job_does_not_stop_the_others(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """A machine that raises ends its own job with an internal error."""

    class Broken(Tuning):
        def apply(self, event: Any) -> None:
            if self.job.spec.seed == 13 and len(self.job.history.entries()) > 2:
                raise ZeroDivisionError
            super().apply(event)

    bad, good = add(jobs, seed=13), add(jobs)
    executor = FakeExecutor()
    controller = controller_on(settings, ledger, executor, Broken)
    drive(controller, lambda: has_ended(jobs, bad, good))
    assert state_of(jobs, good) == "succeeded"
    found = jobs.get(bad.id)
    assert found is not None
    assert found.problem["code"] == "internal_error"
    assert "ZeroDivisionError" not in str(found.problem)


def test_a_machine_that_stops_without_an_answer_is_found_out(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """A job with nothing left to do and no answer fails instead of waiting for ever."""

    class Idle(Tuning):
        def actions(self) -> tuple[Any, ...]:
            return ()

    job = add(jobs)
    controller = controller_on(settings, ledger, FakeExecutor(), Idle)
    controller.turn(0.0)
    assert state_of(jobs, job) == "failed"


def test_records_of_another_version_end_their_job(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """A job that this version cannot read fails, and the others go on."""
    unreadable, readable = add(jobs), add(jobs)
    executor = FakeExecutor(slot("a"), slot("b"))
    controller = controller_on(settings, ledger, executor)
    controller.turn(0.0)
    with database.write() as session:
        of_job = (Record.job_number == unreadable.number, Record.sequence == 1)
        event = session.scalars(select(Record.event).where(*of_job)).one()
        session.execute(update(Record).where(*of_job).values(event={**event, "version": 99}))
    again = controller_on(settings, ledger, FakeExecutor())
    found = jobs.get(unreadable.id)
    assert found is not None
    assert (found.state, found.problem["code"]) == ("failed", "incompatible_upgrade")
    drive(again, lambda: has_ended(jobs, readable))
    assert state_of(jobs, readable) == "succeeded"


def test_attempts_that_outlived_their_controller_are_adopted(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """What an executor still has goes on; what it has of nobody is ended."""
    job = add(jobs)
    executor = FakeExecutor()
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: len(executor.submitted) > 3)
    kept = next(iter(executor.running))
    stray = type(kept)(job_id="tj_unknown", request_id="x-0", number=1)
    executor.known = frozenset({kept, stray})
    again = controller_on(settings, ledger, executor)
    assert executor.cancelled == [stray]
    drive(again, lambda: has_ended(jobs, job))
    assert [one for one in executor.submitted if one.request_id == kept.request_id] == [kept]
    assert_consistent(database, job.id)


def test_checkpoints_go_with_their_job(settings: Settings, jobs: Jobs, ledger: Ledger) -> None:
    """A job's folder lasts as long as the job; one that was left behind is swept."""
    job = add(jobs)
    stale = settings.artifacts / "tj_gone"
    own = settings.artifacts / job.id
    stale.mkdir(parents=True)
    controller = controller_on(settings, ledger, FakeExecutor())
    assert not stale.exists()
    controller.turn(0.0)
    own.mkdir(parents=True)
    drive(controller, lambda: has_ended(jobs, job))
    assert not own.exists()


class Crash(BaseException):
    """The process died here."""


class CrashingLedger(Ledger):
    """Dies before or after one of its commits.

    Args:
        database: As for any ledger.
        commits: Commits until then.
        after: Whether the last one still gets through.
    """

    def __init__(self, database: Database, commits: int, *, after: bool) -> None:
        super().__init__(database)
        self._left = commits
        self._after = after

    def commit(self, turn: Turn) -> None:
        """Commit, or die."""
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crash
        super().commit(turn)
        if self._left == 0:
            raise Crash


@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lives=st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=5),
    parallel=st.integers(1, 3),
    stack_gain=st.sampled_from([1.0, 8.0]),
)
def test_a_job_survives_deaths_at_any_commit(
    tmp_path_factory: pytest.TempPathFactory,
    lives: list[tuple[int, bool]],
    parallel: int,
    stack_gain: float,
) -> None:
    """Whenever a controller dies, the next one goes on, and nothing recorded is measured again."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    database = Database(settings.resolved_database_url)
    migrate(database, lock_file=settings.data_dir / "migrate.lock")
    jobs, ledger = Jobs(database), Ledger(database)
    job = add(jobs, budget={"timeout_seconds": 600, "max_trials": 4, "parallel_trials": parallel})
    devices = [slot(f"cpu{index}") for index in range(parallel)]
    recorded: set[str] = set()
    for commits, after in lives:
        executor = FakeExecutor(*devices, world=World(stack_gain=stack_gain))
        dying = CrashingLedger(database, commits, after=after)
        with contextlib.suppress(Crash):
            controller = controller_on(settings, dying, executor)
            drive(controller, lambda: has_ended(jobs, job))
        assert not recorded & set(executor.world.measured)
        recorded = {e.request_id for e in ledger.history(job.number).events if has_result(e)}
        assert_consistent(database, job.id)
    executor = FakeExecutor(*devices)
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: has_ended(jobs, job))
    assert not recorded & set(executor.world.measured)
    assert state_of(jobs, job) == "succeeded"
    assert_consistent(database, job.id)
    database.close()


def has_result(event: Any) -> bool:
    """Whether an event brings a result."""
    return type(event).__name__ == "Result"


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_a_cancel_outlives_the_controller(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, passes: int
) -> None:
    """Whenever the controller dies after a cancel was asked for, the next one carries it out."""
    job = add(jobs)
    executor = FakeExecutor()
    executor.held = True
    controller = controller_on(settings, ledger, executor)
    controller.turn(0.0)
    jobs.cancel(job.id)
    for _ in range(passes):
        controller.turn(0.0)
    again = controller_on(settings, ledger, FakeExecutor())
    drive(again, lambda: has_ended(jobs, job))
    assert state_of(jobs, job) == "cancelled"
    assert_consistent(database, job.id)
