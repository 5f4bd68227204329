"""A job is removed with all that belongs to it, or not at all."""

import pytest
from sqlalchemy import func, select

from service.store.database import Database
from service.store.deletion import BELONGINGS
from service.store.jobs import Asked, Jobs, NotFinished
from service.store.ledger import Ledger, Superseded, Turn
from service.store.tables import Idempotency, Job, JobState, Table
from tests.service.fake_executor import SPEC

ASKED = Asked(idempotency_key="k", callback_url="https://example.org/hook", owner="ak_1")


def rows(database: Database) -> dict[str, int]:
    """How many rows each table has that speaks of a job."""
    tables = (Job, Idempotency, *BELONGINGS)
    with database.read() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in tables
        }


def ended(jobs: Jobs, ledger: Ledger, asked: Asked = ASKED) -> Job:
    """A job that has ended, with a row in some tables."""
    job = jobs.create(SPEC, "sha256:0", max_queued=9, asked=asked)
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING, trials={0: {"a": 1}}))
    ledger.commit(Turn(job_number=job.number, state=JobState.SUCCEEDED, answer={"a": 1}))
    return job


def test_every_table_of_a_job_is_known() -> None:
    """A table that names a job is emptied of it: none can be forgotten."""
    naming = {
        mapper.class_
        for mapper in Table.registry.mappers
        if any(key.column.table.name == "job" for key in mapper.local_table.foreign_keys)
    }
    assert naming == set(BELONGINGS)


def test_nothing_is_left(jobs: Jobs, ledger: Ledger, database: Database) -> None:
    """Only that job goes; its key leads to a new one afterwards."""
    other = ended(jobs, ledger, Asked(owner="ak_1", idempotency_key="other"))
    before = rows(database)
    job = ended(jobs, ledger)
    assert rows(database) != before
    assert jobs.delete(job.id)
    assert rows(database) == before
    assert jobs.get(other.id) is not None
    assert not jobs.delete(job.id)
    assert jobs.create(SPEC, "sha256:0", max_queued=9, asked=ASKED).id != job.id


def test_a_job_that_has_not_ended_stays(jobs: Jobs, ledger: Ledger, database: Database) -> None:
    """Queued, running or cancelling: nothing of it is touched."""
    job = jobs.create(SPEC, "sha256:0", max_queued=9)
    for change in (None, JobState.RUNNING, "cancel"):
        if change == "cancel":
            jobs.cancel(job.id)
        elif change is not None:
            ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))
        before = rows(database)
        with pytest.raises(NotFinished):
            jobs.delete(job.id)
        assert rows(database) == before


def test_the_job_of_another_is_not_removed(jobs: Jobs, ledger: Ledger) -> None:
    """It is as if it did not exist."""
    job = ended(jobs, ledger)
    assert not jobs.delete(job.id, owner="ak_2")
    assert jobs.delete(job.id, owner="ak_1")


def test_a_number_does_not_come_again(jobs: Jobs, ledger: Ledger) -> None:
    """Whoever still writes about a removed job does not write about another one."""
    job = ended(jobs, ledger)
    jobs.delete(job.id)
    assert jobs.create(SPEC, "sha256:0", max_queued=9).number > job.number
    with pytest.raises(Superseded):
        ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))
