"""The API's half of the store."""

import sqlite3
import threading
from contextlib import closing

import pytest

from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Asked, Jobs, KeyReused, QueueFull
from service.store.ledger import Ledger, Turn
from service.store.tables import JobState

SPEC = {"model": {"kind": "builtin"}, "words": "grün"}


def add(jobs: Jobs, count: int = 1) -> list[str]:
    """Queue some jobs and say their ids."""
    return [jobs.create(SPEC, "sha256:0", max_queued=100).id for _ in range(count)]


def test_a_job_is_stored_word_for_word(jobs: Jobs) -> None:
    """What was sent is what is read, and the times are in UTC."""
    (job_id,) = add(jobs)
    job = jobs.get(job_id)
    assert job is not None
    assert (job.spec, job.state, job.revision) == (SPEC, "queued", 1)
    assert str(job.created_at.tzinfo) == "UTC"
    assert jobs.get("tj_none") is None


def test_pages_follow_one_another(jobs: Jobs) -> None:
    """The newest come first, none twice and none left out."""
    ids = add(jobs, 5)
    first = jobs.page(limit=2)
    second = jobs.page(limit=9, before=first[-1].number)
    assert [job.id for job in (*first, *second)] == ids[::-1]


def test_a_page_can_be_of_one_state(jobs: Jobs) -> None:
    """Only jobs in that state are listed."""
    one, other = add(jobs, 2)
    jobs.cancel(one)
    assert [job.id for job in jobs.page(limit=9, state=JobState.QUEUED)] == [other]
    assert [job.id for job in jobs.page(limit=9, state=JobState.CANCELLED)] == [one]


def test_the_queue_has_an_end(jobs: Jobs) -> None:
    """Jobs that no longer wait do not count."""
    (first,) = add(jobs)
    with pytest.raises(QueueFull):
        jobs.create(SPEC, "sha256:0", max_queued=1)
    jobs.cancel(first)
    assert jobs.create(SPEC, "sha256:0", max_queued=1).state == "queued"


def test_an_owner_has_a_limit_of_its_own(jobs: Jobs) -> None:
    """One that has used it up is told so; others are not held up."""
    mine, other = Asked(owner="ak_1", max_queued=1), Asked(owner="ak_2", max_queued=1)
    jobs.create(SPEC, "sha256:0", max_queued=9, asked=mine)
    with pytest.raises(QueueFull) as refused:
        jobs.create(SPEC, "sha256:0", max_queued=9, asked=mine)
    assert refused.value.of_owner
    assert jobs.create(SPEC, "sha256:0", max_queued=9, asked=other).owner == "ak_2"


def test_the_same_request_under_a_key_is_one_job(jobs: Jobs) -> None:
    """Another spec, or another callback, is another request; keys are apart for each owner."""
    asked = Asked(idempotency_key="k", callback_url="https://example.org/hook")
    first = jobs.create(SPEC, "sha256:0", max_queued=9, asked=asked)
    assert jobs.create(SPEC, "sha256:0", max_queued=1, asked=asked).id == first.id
    with pytest.raises(KeyReused):
        jobs.create(SPEC, "sha256:1", max_queued=9, asked=asked)
    with pytest.raises(KeyReused):
        jobs.create(SPEC, "sha256:0", max_queued=9, asked=Asked(idempotency_key="k"))
    owned = Asked(idempotency_key="k", owner="ak_1")
    assert jobs.create(SPEC, "sha256:0", max_queued=9, asked=owned).id != first.id


def test_a_cancel_is_heard_once(jobs: Jobs, ledger: Ledger) -> None:
    """Asking again changes nothing, not even the revision."""
    (job_id,) = add(jobs)
    job = jobs.get(job_id)
    assert job is not None
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))
    first, second = jobs.cancel(job_id), jobs.cancel(job_id)
    assert first is not None
    assert second is not None
    assert (first.state, first.revision) == (second.state, second.revision) == ("cancelling", 3)
    assert ledger.cancelled() == {job.number}
    assert jobs.cancel("tj_none") is None


def test_a_cancel_that_comes_too_late_changes_nothing(jobs: Jobs, ledger: Ledger) -> None:
    """A job that has ended stays as it is."""
    (job_id,) = add(jobs)
    job = jobs.get(job_id)
    assert job is not None
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))
    ledger.commit(Turn(job_number=job.number, state=JobState.SUCCEEDED, answer={"a": 1}))
    late = jobs.cancel(job_id)
    assert late is not None
    assert (late.state, late.revision) == ("succeeded", 3)


def test_many_may_create_at_once(jobs: Jobs) -> None:
    """Writers wait for one another instead of failing."""
    threads = [threading.Thread(target=add, args=(jobs, 5)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs.page(limit=100)) == 40


def test_the_database_keeps_what_it_promised(database: Database) -> None:
    """Write-ahead log, full synchronisation and foreign keys are on for every connection."""
    with database.read() as session:
        pragmas = {
            name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas["journal_mode"] == "wal"
    assert pragmas["synchronous"] == 2
    assert pragmas["foreign_keys"] == 1
    assert int(pragmas["busy_timeout"]) >= 10_000


def test_a_reader_is_not_held_up_by_a_writer(database: Database, jobs: Jobs) -> None:
    """While someone writes, everyone reads what was there before."""
    (job_id,) = add(jobs)
    assert database.file is not None
    with closing(sqlite3.connect(database.file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE job SET revision = 99")
        job = jobs.get(job_id)
        assert job is not None
        assert job.revision == 1


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("", "ix_job_kind_number"),
        ("AND state = 'running'", "ix_job_kind_state_number"),
        ("AND owner = 'ak_1'", "ix_job_kind_owner_number"),
    ],
)
def test_a_page_of_one_kind_is_read_from_an_index(
    jobs: Jobs, settings: Settings, condition: str, index: str
) -> None:
    """However many jobs there are, those that are not asked for are not looked at."""
    add(jobs)
    where = f"kind = 'study' {condition}"
    query = f"SELECT * FROM job WHERE {where} ORDER BY number DESC LIMIT 50"  # noqa: S608 - ours
    with closing(sqlite3.connect(settings.data_dir / "batchscout.sqlite3")) as connection:
        (step,) = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    assert f"USING INDEX {index} (" in step[-1]
    assert "TEMP B-TREE" not in step[-1]
