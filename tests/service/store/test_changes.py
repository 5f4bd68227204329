"""What followers are told of: only what changed, of several jobs at once."""

import pytest
from sqlalchemy import update

from service.store.changes import NOTHING_KNOWN, Changes
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import Ledger, Turn
from service.store.tables import Job, JobState, Trial


@pytest.fixture
def changes(database: Database) -> Changes:
    """The followers' half of the store."""
    return Changes(database)


@pytest.fixture
def job(jobs: Jobs, ledger: Ledger) -> Job:
    """A running job of revision 4: trial 0 changed at 3, trial 1 at 4."""
    job = jobs.create({}, "sha256:0", max_queued=9)
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING, trials={0: {"a": 1}}))
    ledger.commit(Turn(job_number=job.number, trials={0: {"a": 2}}))
    ledger.commit(Turn(job_number=job.number, trials={1: {"b": 1}}))
    return job


def test_a_trial_carries_the_revision_of_its_turn(database: Database, job: Job) -> None:
    """What the job is at after a turn is what the trials of that turn are dated with."""
    with database.read() as session:
        dates = {t.position: t.revision for t in session.query(Trial)}
        found = session.get(Job, job.number)
    assert dates == {0: 3, 1: 4}
    assert found is not None
    assert found.revision == 4


def test_only_what_is_newer_is_read(changes: Changes, job: Job) -> None:
    """A follower gets the trials that changed after the revision that it knows."""
    for known, positions in [(NOTHING_KNOWN, [0, 1]), (2, [0, 1]), (3, [1])]:
        change = changes.since({job.id: known}).changed[job.id]
        assert [trial.position for trial in change.trials] == positions
        assert change.job.revision == 4


def test_what_has_not_changed_is_not_read(changes: Changes, jobs: Jobs, job: Job) -> None:
    """Of several jobs only those are there that are different, and those that are gone."""
    other = jobs.create({}, "sha256:0", max_queued=9)
    look = changes.since({job.id: 4, other.id: NOTHING_KNOWN, "tj_none": 3})
    assert set(look.changed) == {other.id}
    assert look.gone == {"tj_none"}


def test_trials_without_a_date_say_from_when_on_they_can_be_told_apart(
    changes: Changes, database: Database, ledger: Ledger, job: Job
) -> None:
    """Trials of a version that wrote no revisions changed before the first that has one."""
    assert changes.since({job.id: NOTHING_KNOWN}).changed[job.id].dated_from == 0
    with database.write() as session:
        session.execute(update(Trial).values(revision=0))
    change = changes.since({job.id: NOTHING_KNOWN}).changed[job.id]
    assert (change.dated_from, len(change.trials)) == (4, 2)
    ledger.commit(Turn(job_number=job.number, trials={2: {}}))
    ledger.commit(Turn(job_number=job.number, trials={3: {}}))
    assert changes.since({job.id: NOTHING_KNOWN}).changed[job.id].dated_from == 5
