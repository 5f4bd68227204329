"""The same request twice is measured once, within one owner, and whatever dies in between."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace as replaced
from typing import Any

import pytest
from sqlalchemy import select, update

from service.settings import Settings
from service.store.answers import LOOKED_AT
from service.store.database import Database
from service.store.jobs import Asked, Jobs
from service.store.ledger import Ledger
from service.store.tables import Job, JobState, KnowledgeRow
from tests.service.consistency import assert_consistent
from tests.service.fake_executor import SPEC, FakeExecutor, slot
from tests.service.test_controller import (
    Crash,
    CrashingLedger,
    controller_on,
    drive,
    has_ended,
)
from tests.tuner.world import World
from tuner.records import Answered, Event, Inspection, Result, Started
from tuner.spec import digest


def ask(jobs: Jobs, *, owner: str | None = None, forced: bool = False, **parts: Any) -> Job:
    """Queue the small request, some parts of it replaced."""
    spec = {**SPEC, **parts}
    asked = Asked(owner=owner, forced=forced)
    return jobs.create(spec, digest(spec), max_queued=100, asked=asked)


def finish(
    settings: Settings, jobs: Jobs, ledger: Ledger, job: Job, executor: FakeExecutor | None = None
) -> Job:
    """Drive a job to its end."""
    controller = controller_on(settings, ledger, executor or FakeExecutor())
    drive(controller, lambda: has_ended(jobs, job))
    return read(jobs, job)


def read(jobs: Jobs, job: Job) -> Job:
    """A job as it is now."""
    found = jobs.get(job.id)
    assert found is not None
    return found


def measured(ledger: Ledger, job: Job) -> set[str]:
    """Ids of what a job had measured."""
    events = ledger.history(job.number).events
    return {event.request.id for event in events if isinstance(event, Started)}


def sources(events: Sequence[Event]) -> list[str]:
    """Past jobs whose answer was taken."""
    return [event.past.job_id for event in events if isinstance(event, Answered)]


@pytest.fixture
def past(settings: Settings, jobs: Jobs, ledger: Ledger) -> Job:
    """A job that has measured everything and found a lasting answer."""
    found = finish(settings, jobs, ledger, ask(jobs))
    assert found.state == "succeeded", found.problem
    return found


def test_the_same_request_is_answered_after_one_inspection(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """The answer is the recorded one, dated; the job measured nothing but what it is about."""
    job = finish(settings, jobs, ledger, ask(jobs))
    assert job.state == "succeeded", job.problem
    assert measured(ledger, job) == {"inspect-0"}
    assert past.finished_at is not None
    assert job.answer["answered_from"] == {
        "job_id": past.id,
        "measured_at": past.finished_at.isoformat(),
    }
    assert past.answer["answered_from"] is None
    assert {**job.answer, "answered_from": None} == past.answer
    assert job.fingerprint == past.fingerprint == past.answer["fingerprint"]
    assert (job.stage, job.progress["fraction"]) == ("recommend", 1.0)
    assert jobs.trials(job.number, limit=10) == []
    assert_consistent(database, job.id)


def test_the_answer_is_told_in_the_turn_of_the_inspection(
    settings: Settings, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """Inspection and answer are neighbours in the record, and nothing comes after."""
    job = finish(settings, jobs, ledger, ask(jobs))
    *_, before, last = ledger.history(job.number).events
    assert isinstance(before, Result)
    assert isinstance(before.result, Inspection)
    assert isinstance(last, Answered)


def test_an_answer_that_is_given_a_third_time_keeps_its_date(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """It names the job that measured it, also when only a job that did not is left."""
    second = finish(settings, jobs, ledger, ask(jobs))
    with database.write() as session:
        session.execute(update(Job).where(Job.id == past.id).values(state=JobState.CANCELLED))
    third = finish(settings, jobs, ledger, ask(jobs))
    assert third.answer["answered_from"] == second.answer["answered_from"]
    assert third.answer["answered_from"]["job_id"] == past.id


def test_a_request_written_differently_is_the_same_one(
    settings: Settings, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """Defaults that are written out change the digest of the spec, not the fingerprint."""
    job = finish(settings, jobs, ledger, ask(jobs, seed=0))
    assert job.spec_digest != past.spec_digest
    assert job.answer["spec_digest"] == job.spec_digest
    assert job.answer["answered_from"]["job_id"] == past.id


def test_a_forced_job_measures_and_is_the_answer_from_then_on(
    settings: Settings, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """`force` turns the look-up off for this job alone; later ones are given its answer."""
    forced = finish(settings, jobs, ledger, ask(jobs, forced=True))
    assert sources(ledger.history(forced.number).events) == []
    assert forced.answer["answered_from"] is None
    assert {"inspect-0", "timing-0"} < measured(ledger, forced)
    later = finish(settings, jobs, ledger, ask(jobs))
    assert later.answer["answered_from"]["job_id"] == forced.id


@pytest.mark.parametrize(
    "parts",
    [
        {"seed": 1},
        {"budget": {**SPEC["budget"], "max_trials": 5}},
        {"search": {"reuse": "never"}},
    ],
)
def test_another_request_is_measured(
    settings: Settings, jobs: Jobs, ledger: Ledger, past: Job, parts: dict[str, Any]
) -> None:
    """Seed, budget and whether knowledge may be used are part of the question."""
    assert _measures(settings, jobs, ledger, ask(jobs, **parts), FakeExecutor())


@pytest.mark.parametrize("field", ["data_digest", "code_digest"])
def test_other_data_or_code_are_measured(
    settings: Settings, jobs: Jobs, ledger: Ledger, past: Job, field: str
) -> None:
    """The same words about other data, or other code, are another question."""
    assert _measures(
        settings, jobs, ledger, ask(jobs), FakeExecutor(world=Changed(**{field: "sha256:other"}))
    )


@pytest.mark.parametrize(
    "device",
    [{"kind": "cuda:other"}, {"name": "another processor"}, {"torch_version": "99.1.0"}],
)
def test_another_device_or_torch_is_measured(
    settings: Settings, jobs: Jobs, ledger: Ledger, past: Job, device: dict[str, Any]
) -> None:
    """An answer is about one kind of device, by its name too, and one version of torch."""
    executor = FakeExecutor(slot(), world=Changed(device=device))
    assert _measures(settings, jobs, ledger, ask(jobs), executor)


def test_an_answer_stays_with_its_owner(settings: Settings, jobs: Jobs, ledger: Ledger) -> None:
    """Another key, and no key, measure for themselves; the same key is answered."""
    first = finish(settings, jobs, ledger, ask(jobs, owner="key_a"))
    for owner in ("key_b", None):
        assert _measures(settings, jobs, ledger, ask(jobs, owner=owner), FakeExecutor())
    again = finish(settings, jobs, ledger, ask(jobs, owner="key_a"))
    assert again.answer["answered_from"]["job_id"] == first.id


@pytest.mark.parametrize(
    "change",
    [
        {"limited_by": "budget"},
        {"warnings": [{"code": "calibration_off", "detail": "busy"}]},
        {"warnings": [{"code": "timing_unsteady", "detail": "busy"}]},
        {"warnings": [{"code": "not_confirmed", "detail": "short"}]},
        {"runs": "a word that another version wrote"},
    ],
)
def test_an_answer_that_suffered_is_not_given_again(
    settings: Settings,
    database: Database,
    jobs: Jobs,
    ledger: Ledger,
    past: Job,
    change: dict[str, Any],
) -> None:
    """Cut short, measured on a busy machine, or unreadable: the next job measures again."""
    with database.write() as session:
        session.execute(
            update(Job).where(Job.id == past.id).values(answer={**past.answer, **change})
        )
    assert _measures(settings, jobs, ledger, ask(jobs), FakeExecutor())


def test_an_older_lasting_answer_is_found_behind_newer_ones_that_suffered(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """So many jobs are looked at, the newest first, and no more."""
    assert past.fingerprint is not None
    _copies(database, past, LOOKED_AT - 1)
    found = ledger.answered(past.fingerprint, owner=None)
    assert found is not None
    assert found.job_id == past.id
    _copies(database, past, 1)
    assert ledger.answered(past.fingerprint, owner=None) is None


def test_only_jobs_that_succeeded_are_looked_at(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """The fingerprint is written with the inspection, long before there is an answer."""
    job = ask(jobs, seed=3)
    controller = controller_on(settings, ledger, FakeExecutor())
    drive(controller, lambda: read(jobs, job).fingerprint is not None)
    now = read(jobs, job)
    assert now.state == "running"
    assert now.fingerprint != past.fingerprint
    assert ledger.answered(str(now.fingerprint), owner=None) is None
    jobs.cancel(job.id)
    drive(controller, lambda: has_ended(jobs, job))
    assert ledger.answered(str(now.fingerprint), owner=None) is None


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
    """Whenever the controller dies, the job ends with the past answer, told once."""
    job = ask(jobs)
    dying = CrashingLedger(database, commits, after=after)
    with contextlib.suppress(Crash):
        drive(controller_on(settings, dying, FakeExecutor()), lambda: has_ended(jobs, job))
    assert_consistent(database, job.id)
    found = finish(settings, jobs, ledger, job)
    assert found.state == "succeeded", found.problem
    assert sources(ledger.history(job.number).events) == [past.id]
    assert measured(ledger, job) == {"inspect-0"}
    assert_consistent(database, job.id)


def test_an_answer_that_was_given_outlives_the_job_that_measured_it(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """The record holds the answer itself, not a pointer to it."""
    job = finish(settings, jobs, ledger, ask(jobs))
    with database.write() as session:
        session.execute(update(Job).where(Job.id == past.id).values(answer=None))
    assert_consistent(database, job.id)


def test_a_job_that_was_answered_from_another_teaches_nobody(
    settings: Settings, database: Database, jobs: Jobs, ledger: Ledger, past: Job
) -> None:
    """It has found out nothing itself, so it leaves no knowledge."""
    finish(settings, jobs, ledger, ask(jobs))
    with database.read() as session:
        assert session.scalars(select(KnowledgeRow.job_number)).all() == [past.number]


class Changed(World):
    """A world whose inspection sees something else."""

    def __init__(self, *, device: dict[str, Any] | None = None, **fields: Any) -> None:
        super().__init__()
        self.changes = (device or {}, fields)

    def _inspect(self) -> Inspection:
        seen = super()._inspect()
        device, fields = self.changes
        return replaced(seen, device=replaced(seen.device, **device), **fields)


def _measures(
    settings: Settings, jobs: Jobs, ledger: Ledger, job: Job, executor: FakeExecutor
) -> bool:
    """Whether a job goes on to measure after its inspection."""
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: has_ended(jobs, job) or len(measured(ledger, job)) > 1)
    found = len(measured(ledger, job)) > 1
    jobs.cancel(job.id)
    drive(controller, lambda: has_ended(jobs, job))
    return found and sources(ledger.history(job.number).events) == []


def _copies(database: Database, past: Job, count: int) -> None:
    """Add later jobs of the same fingerprint whose answers suffered."""
    with database.write() as session:
        row = session.get_one(Job, past.number)
        columns = {c.key: getattr(row, c.key) for c in Job.__table__.columns}
        for index in range(count):
            newest = len(session.scalars(select(Job.id)).all())
            values = {
                "number": None,
                "id": f"tj_copy_{newest}_{index}",
                "answer": {**past.answer, "limited_by": "budget"},
            }
            session.add(Job(**(columns | values)))
            session.flush()
