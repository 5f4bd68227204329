"""A full disk and a locked database, as those see them who ask."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.app import create_app
from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import Ledger, Turn
from service.store.tables import JobState
from tests.service.disk import Disk, locked
from tests.service.fake_executor import SPEC
from tuner.records import Stop

JOBS = "/v1/tuning-jobs"
MAX_JOBS = 500


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of an API that waits for other writers for a moment only."""
    hasty = settings.model_copy(update={"busy_timeout_seconds": 0.05})
    app = create_app(hasty)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def database_of(client: TestClient) -> Database:
    """The database of the API under test."""
    app: Any = client.app
    found: Database = app.state.parts.jobs._database
    return found


def fill(client: TestClient) -> tuple[list[str], Any]:
    """Create jobs until one is refused; ids of those that were taken, and the refusal."""
    taken: list[str] = []
    for _ in range(MAX_JOBS):
        answer = client.post(JOBS, json=SPEC)
        if answer.status_code != 202:
            return taken, answer
        taken.append(answer.json()["id"])
    pytest.fail("the disk is never full")


def test_a_full_disk_takes_no_job_and_loses_none(client: TestClient) -> None:
    """New jobs get 507; each that was taken is there, and once there is room it goes on."""
    disk = Disk(database_of(client))
    before = client.post(JOBS, json=SPEC).json()["id"]
    disk.full = True
    taken, refused = fill(client)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (507, "storage_full")
    assert int(refused.headers["Retry-After"]) > 0
    assert "sqlite" not in refused.text.lower()
    listed = client.get(JOBS, params={"limit": 1000}).json()["items"]
    assert [job["id"] for job in reversed(listed)] == [before, *taken]
    assert client.get("/readyz").status_code == 200
    disk.full = False
    assert client.post(JOBS, json=SPEC).status_code == 202


def test_a_locked_database_is_told_soon_and_nothing_is_done(client: TestClient) -> None:
    """503 and when to come back; reading goes on, and the same key then makes one job."""
    job = client.post(JOBS, json=SPEC).json()["id"]
    key = {"Idempotency-Key": "once"}
    with locked(database_of(client)):
        answers = [
            client.post(JOBS, json=SPEC, headers=key),
            client.post(f"{JOBS}/{job}/cancel"),
        ]
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert int(answer.headers["Retry-After"]) > 0
        assert client.get(f"{JOBS}/{job}").json()["state"] == "queued"
    made = [client.post(JOBS, json=SPEC, headers=key).json()["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert len(client.get(JOBS).json()["items"]) == 2


def test_the_log_of_a_fault_holds_no_traceback_and_no_secret(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It names the fault; what was to be written stays out of it."""
    disk = Disk(database_of(client))
    disk.full = True
    fill(client)
    url = {"callback_url": "https://hook.example/?token=hidden"}
    with locked(database_of(client)):
        client.post(JOBS, json=SPEC, params=url)
    assert "the disk of the database is full" in caplog.text
    assert "another process keeps the database" in caplog.text
    assert "Traceback" not in caplog.text
    assert "hidden" not in caplog.text


def test_errors_of_the_database_do_not_say_what_was_written(database: Database) -> None:
    """Wherever such an error is logged, parameters stay out of it."""
    with pytest.raises(OperationalError) as caught, database.write() as session:
        session.execute(text("INSERT INTO nowhere VALUES (:url)"), {"url": "token=of-a-receiver"})
    assert "nowhere" in str(caught.value)
    assert "of-a-receiver" not in str(caught.value)


def test_two_writers_lose_nothing(settings: Settings, database: Database, ledger: Ledger) -> None:
    """The API and the controller write at once: every job and every record is there."""
    api = Database(settings.resolved_database_url)
    jobs = Jobs(api)
    running = jobs.create({}, "sha256:0", max_queued=1000)
    ledger.commit(Turn(job_number=running.number, state=JobState.RUNNING))

    def record(number: int) -> None:
        ledger.commit(Turn(job_number=running.number, events=[Stop(reason=str(number))]))

    def create(_: int) -> str:
        return jobs.create({}, "sha256:0", max_queued=1000).id

    with ThreadPoolExecutor(4) as pool:
        recorded = [pool.submit(record, number) for number in range(60)]
        made = list(pool.map(create, range(60)))
        for one in recorded:
            one.result()
    assert len(ledger.history(running.number).events) == 60
    listed = {job.id for job in jobs.page(limit=1000)}
    assert listed == {running.id, *made}
    assert len(made) == len(set(made))
    api.close()
