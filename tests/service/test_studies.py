"""Studies under way: driven like tunings, through every death, and kept apart from them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Asked, Jobs, KeyReused
from service.store.ledger import Ledger
from service.store.migrate import migrate
from service.store.tables import FindingsRow, Job, JobKind
from tests.service.consistency import assert_consistent
from tests.service.fake_executor import FakeExecutor
from tests.service.small_study import STUDY, StudyWorld, make_small
from tests.service.test_controller import (
    Crash,
    CrashingLedger,
    add,
    controller_on,
    drive,
    has_ended,
    state_of,
)
from tuner.records import Result
from tuner.spec import digest
from tuner.study_findings import StudyFindings

OF_STUDY = Asked(kind=JobKind.STUDY)


def add_study(jobs: Jobs, **parts: Any) -> Job:
    """Queue the small study, some parts of it replaced."""
    spec = {**STUDY, **parts}
    return jobs.create(spec, digest(spec), max_queued=100, asked=OF_STUDY)


def world() -> FakeExecutor:
    """One device, on which studies can train."""
    return FakeExecutor(world=StudyWorld())


def test_a_study_is_driven_to_its_findings(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """Its job has a summary without curves as its answer, and the findings lie beside it."""
    job = add_study(jobs)
    drive(controller_on(settings, ledger, world(), make_small), lambda: has_ended(jobs, job))
    found = jobs.get(job.id)
    assert found is not None
    assert found.state == "succeeded", found.problem
    assert job.id.startswith("bs_")
    findings = StudyFindings.model_validate(jobs.findings(job.number))
    assert [arm.batch_size for arm in findings.arms] == STUDY["batch_sizes"]
    assert [run.points for arm in findings.arms for run in arm.runs]
    assert found.answer["arms"][0]["runs"] == STUDY["seeds"]
    assert "points" not in str(found.answer)
    assert_consistent(database, job.id, make_small)


def test_studies_and_tunings_share_the_queue(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """In the order of their arrival, whatever they are."""
    some = [add(jobs), add_study(jobs), add(jobs, seed=1)]
    executor = world()
    controller = controller_on(settings, ledger, executor, make_small)
    drive(controller, lambda: has_ended(jobs, *some))
    order = [attempt.job_id for attempt in executor.submitted]
    assert order == sorted(order, key=[job.id for job in some].index)
    assert {state_of(jobs, job) for job in some} == {"succeeded"}


def test_minimisers_go_with_their_study(settings: Settings, jobs: Jobs, ledger: Ledger) -> None:
    """The folder of its artifacts is there while it runs and gone when it has ended."""
    job = add_study(jobs)
    folder = settings.places_of(job.id).artifacts
    executor = world()
    controller = controller_on(settings, ledger, executor, make_small)
    drive(controller, lambda: len(executor.submitted) > 1)
    folder.mkdir(parents=True)
    (folder / "weights-train-b8-s0").touch()
    controller.turn(0.0)
    assert folder.exists()
    drive(controller, lambda: has_ended(jobs, job))
    assert not folder.exists()


def test_a_deleted_study_leaves_nothing(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """Its findings go with it."""
    job = add_study(jobs)
    drive(controller_on(settings, ledger, world(), make_small), lambda: has_ended(jobs, job))
    assert jobs.delete(job.id, kind=JobKind.STUDY)
    with database.read() as session:
        assert session.scalars(select(FindingsRow)).all() == []


def test_a_study_that_ran_out_of_time_says_where_it_is(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """A failed study carries a problem whose instance is its own address."""
    job = add_study(jobs, budget={"timeout_seconds": 1e-6})
    drive(controller_on(settings, ledger, world(), make_small), lambda: has_ended(jobs, job))
    found = jobs.get(job.id)
    assert found is not None
    assert found.problem["code"] == "budget_exhausted"
    assert found.problem["instance"] == f"/v1/batch-size-studies/{job.id}"


def test_a_study_can_be_cancelled(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """It is `cancelling` until its device is free, and has no findings then."""
    job = add_study(jobs)
    executor = world()
    executor.held = True
    controller = controller_on(settings, ledger, executor, make_small)
    controller.turn(0.0)
    jobs.cancel(job.id, kind=JobKind.STUDY)
    drive(controller, lambda: has_ended(jobs, job))
    assert state_of(jobs, job) == "cancelled"
    assert jobs.findings(job.number) is None
    assert_consistent(database, job.id, make_small)


def test_a_request_that_this_version_does_not_read_is_refused_by_its_kind(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """A stored study is read as a study: what is a tuning's request is none of these."""
    spec = {"model": {"kind": "builtin", "name": "mlp"}}
    job = jobs.create(spec, digest(spec), max_queued=100, asked=OF_STUDY)
    controller_on(settings, ledger, world(), make_small).turn(0.0)
    found = jobs.get(job.id)
    assert found is not None
    assert found.problem["code"] == "incompatible_upgrade"


def test_one_idempotency_key_is_for_one_kind(jobs: Jobs) -> None:
    """The same body under the same key does not lead from one kind to the other."""
    named = {"spec": dict(STUDY), "spec_digest": digest(STUDY), "max_queued": 100}
    jobs.create(**named, asked=Asked(kind=JobKind.STUDY, idempotency_key="k"))
    with pytest.raises(KeyReused):
        jobs.create(**named, asked=Asked(kind=JobKind.TUNING, idempotency_key="k"))


@hypothesis_settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lives=st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=4))
def test_a_study_survives_deaths_at_any_commit(
    tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[int, bool]]
) -> None:
    """Whenever a controller dies, the next one goes on, and no recorded run trains again."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    database = _opened(settings.data_dir)
    jobs, ledger = Jobs(database), Ledger(database)
    job = add_study(jobs)
    recorded: set[str] = set()
    for commits, after in lives:
        executor = world()
        dying = CrashingLedger(database, commits, after=after)
        with contextlib.suppress(Crash):
            controller = controller_on(settings, dying, executor, make_small)
            drive(controller, lambda: has_ended(jobs, job))
        assert not recorded & set(executor.world.measured)
        events = ledger.history(job.number).events
        recorded = {event.request_id for event in events if isinstance(event, Result)}
        assert_consistent(database, job.id, make_small)
    executor = world()
    controller = controller_on(settings, ledger, executor, make_small)
    drive(controller, lambda: has_ended(jobs, job))
    assert not recorded & set(executor.world.measured)
    assert state_of(jobs, job) == "succeeded"
    assert_consistent(database, job.id, make_small)
    database.close()


def _opened(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder / 'batchscout.sqlite3'}")
    migrate(database, lock_file=folder / "migrate.lock")
    return database
