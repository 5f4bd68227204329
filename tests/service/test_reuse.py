"""What one job found out is there for the next one, whatever dies in between."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import Ledger, Turn
from service.store.tables import Job, JobState, KnowledgeRow
from tests.service.consistency import assert_consistent
from tests.service.fake_executor import SPEC, FakeExecutor, slot
from tests.service.test_controller import (
    Crash,
    CrashingLedger,
    add,
    controller_on,
    drive,
    has_ended,
)
from tests.tuner.world import World
from tuner.records import CapacityChanged, Event, Inspection, Knowledge, Recalled, Result, Started
from tuner.spec import TuningSpec
from tuner.tune import tune
from tuner.tuning import Tuning

CARD: dict[str, Any] = {"pass_fixed_seconds": 0.004, "pass_seconds_per_sample": 0.000_002}
"""A device on which large batches are cheap."""


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    """What a job on another device found out."""
    spec = TuningSpec.model_validate(SPEC)
    tunings: list[Tuning] = []
    tune(spec, measure=World().measure, on_event=lambda tuning, _: tunings.append(tuning))
    found = tunings[-1].learned(job_id="tj_", answered_at="2026-01-01T00:00:00+00:00")
    assert found is not None
    return found


@pytest.fixture
def past(jobs: Jobs, ledger: Ledger, knowledge: Knowledge) -> Job:
    """The job that left it."""
    job = add(jobs)
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))
    left = replace(knowledge, job_id=job.id)
    ledger.commit(Turn(job_number=job.number, state=JobState.SUCCEEDED, knowledge=left))
    return job


def card(world: World | None = None) -> FakeExecutor:
    """The new device."""
    return FakeExecutor(slot("gpu", "cuda", "cuda:world"), world=world or World(**CARD))


def recalled(events: Sequence[Event]) -> list[str]:
    """The past jobs that were recalled."""
    return [event.knowledge.job_id for event in events if isinstance(event, Recalled)]


def stages(events: Sequence[Event]) -> set[str]:
    """Stages that measured something."""
    return {event.request.id.partition("-")[0] for event in events if isinstance(event, Started)}


def test_a_second_job_is_verified_on_its_own_device(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """It searches nothing, and its stored answer names the job that it rests on."""
    first = add(jobs)
    drive(controller_on(settings, ledger, FakeExecutor()), lambda: has_ended(jobs, first))
    job = add(jobs, seed=1)
    drive(controller_on(settings, ledger, card()), lambda: has_ended(jobs, job))
    past, found = jobs.get(first.id), jobs.get(job.id)
    assert past is not None
    assert found is not None
    assert found.state == "succeeded", found.problem
    assert stages(ledger.history(job.number).events) == {"inspect", "memory", "timing", "verify"}
    assert found.answer["reused"]["job_id"] == past.id
    assert found.answer["reused"]["device_kind"] == "cpu"
    assert found.answer["spending"]["training_runs"] == 2
    assert past.answer["spending"]["training_runs"] > 10
    assert_consistent(database, job.id)


def test_what_was_recalled_is_told_in_the_turn_of_the_inspection(
    settings: Settings, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """Inspection and reply are neighbours in the record: no turn lies between them."""
    job = add(jobs, seed=1)
    drive(controller_on(settings, ledger, card()), lambda: has_ended(jobs, job))
    events = ledger.history(job.number).events
    (position,) = [i for i, event in enumerate(events) if isinstance(event, Recalled)]
    before = events[position - 1]
    assert isinstance(before, Result)
    assert isinstance(before.result, Inspection)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("commits", [1, 2, 3])
def test_a_death_near_the_inspection_loses_nothing(
    settings: Settings,
    database: Database,
    jobs: Jobs,
    ledger: Ledger,
    past: Job,
    commits: int,
    after: bool,  # noqa: FBT001  (a parameter of the test)
) -> None:
    """Whenever the controller dies, the job is told once, and verified."""
    job = add(jobs, seed=1)
    dying = CrashingLedger(database, commits, after=after)
    with contextlib.suppress(Crash):
        drive(controller_on(settings, dying, card()), lambda: has_ended(jobs, job))
    assert_consistent(database, job.id)
    drive(controller_on(settings, ledger, card()), lambda: has_ended(jobs, job))
    events = ledger.history(job.number).events
    assert recalled(events) == [past.id]
    assert stages(events) == {"inspect", "memory", "timing", "verify"}
    assert_consistent(database, job.id)


def test_a_job_that_was_inspected_before_anybody_was_asked_is_told_after_a_restart(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """A record that ends with the inspection is taken up with a question, not without."""
    job = add(jobs, seed=1)

    class Forgetful(Ledger):
        def recall(self, key: str) -> None:
            """Know nothing."""

        def commit(self, turn: Turn) -> None:
            super().commit(turn)
            if any(getattr(event, "request_id", "") == "inspect-0" for event in turn.events):
                raise Crash

    with contextlib.suppress(Crash):
        drive(controller_on(settings, Forgetful(database), card()), lambda: has_ended(jobs, job))
    last = [e for e in ledger.history(job.number).events if isinstance(e, Result)][-1]
    assert isinstance(last.result, Inspection)
    drive(controller_on(settings, ledger, card()), lambda: has_ended(jobs, job))
    assert recalled(ledger.history(job.number).events) == [past.id]
    assert_consistent(database, job.id)


def test_a_law_that_changed_is_searched_anew(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """The job succeeds with a warning, and what it found replaces what was known."""
    job = add(jobs, seed=1)
    changed = card(World(**CARD, steps_minimum=600.0))
    drive(controller_on(settings, ledger, changed), lambda: has_ended(jobs, job))
    found = jobs.get(job.id)
    assert found is not None
    assert found.state == "succeeded", found.problem
    assert "reuse_rejected" in {one["code"] for one in found.answer["warnings"]}
    assert found.answer["reused"] is None
    assert {"verify", "race", "search", "confirm"} <= stages(ledger.history(job.number).events)
    third = add(jobs, seed=2)
    drive(
        controller_on(settings, ledger, card(World(**CARD, steps_minimum=600.0))),
        lambda: has_ended(jobs, third),
    )
    assert recalled(ledger.history(third.number).events) == [job.id]
    assert_consistent(database, job.id)


@pytest.mark.parametrize(
    "parts",
    [
        {"search": {"reuse": "never"}},
        {"objective": {"kind": "time_to_target", "target": 0.2}},
        {"training": {"task": "classification", "optimizer": {"kind": "adam"}}},
    ],
)
def test_another_question_is_not_answered_by_the_past(
    settings: Settings, jobs: Jobs, ledger: Ledger, past: Job, parts: dict[str, Any]
) -> None:
    """Turned off, or with another target or optimizer, a job measures everything itself."""
    job = add(jobs, seed=1, **parts)
    drive(
        controller_on(settings, ledger, card()),
        lambda: "race" in stages(ledger.history(job.number).events),
    )
    assert recalled(ledger.history(job.number).events) == []


def test_knowledge_of_another_version_is_passed_over(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """What this version cannot read is not guessed at: the job searches."""
    with database.write() as session:
        payload = session.scalars(select(KnowledgeRow.payload)).one()
        session.execute(update(KnowledgeRow).values(payload={**payload, "version": 99}))
    job = add(jobs, seed=1)
    drive(
        controller_on(settings, ledger, card()),
        lambda: "race" in stages(ledger.history(job.number).events),
    )
    assert recalled(ledger.history(job.number).events) == []


def test_only_succeeded_jobs_leave_something(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger
) -> None:
    """A job that was cancelled or failed has told nobody anything."""
    job = add(jobs)
    controller = controller_on(settings, ledger, FakeExecutor())
    drive(
        controller,
        lambda: any(isinstance(e, CapacityChanged) for e in ledger.history(job.number).events),
    )
    jobs.cancel(job.id)
    drive(controller, lambda: has_ended(jobs, job))
    with database.read() as session:
        assert session.scalars(select(KnowledgeRow)).all() == []
