"""What Prometheus gets, read by its own parser."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from sqlalchemy import event, text

from service.app import create_app
from service.settings import Settings
from service.store.database import Database
from service.store.figures import read_figures
from service.store.jobs import Asked, Jobs
from service.store.ledger import Ledger, Turn
from service.store.tables import JobState
from tests.service.fake_executor import SPEC, FakeExecutor
from tests.service.test_controller import add, controller_on, drive, has_ended

JOBS = "/v1/tuning-jobs"


def scrape(client: TestClient) -> list[Sample]:
    """Every sample of one scrape."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return [sample for family in families for sample in family.samples]


def value(samples: list[Sample], name: str, **labels: str) -> float | None:
    """The one sample of that name and these labels; None if there is none."""
    found = [
        sample.value
        for sample in samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_requests_are_counted_by_route_and_never_by_address(client: TestClient) -> None:
    """Ids and whatever else people type make no series."""
    for name in ("tj_a", "tj_b", "tj_c"):
        client.get(f"{JOBS}/{name}")
    client.get("/nowhere/at/all")
    client.request("BREW", "/livez")
    samples = scrape(client)
    counted = "batchscout_http_requests_total"
    route = f"{JOBS}/{{job_id}}"
    assert value(samples, counted, method="GET", route=route, status="404") == 3
    assert value(samples, counted, route="unmatched", status="404") == 1
    assert value(samples, counted, method="other", route="/livez", status="405") == 1
    assert "tj_a" not in str(samples)
    assert "BREW" not in str(samples)
    timed = "batchscout_http_request_duration_seconds_count"
    assert value(samples, timed, route=route) == 3


def test_a_request_that_waits_on_purpose_is_counted_and_not_timed(client: TestClient) -> None:
    """A long poll says nothing about how fast the service is."""
    created = client.post(JOBS, json=SPEC)
    address, etag = created.headers["Location"], created.headers["ETag"]
    client.get(address, params={"wait": "0.01"}, headers={"If-None-Match": etag})
    client.get(address, params={"wait": "0"})
    samples, route = scrape(client), f"{JOBS}/{{job_id}}"
    counted = "batchscout_http_requests_total"
    assert value(samples, counted, route=route, status="304") == 1
    assert value(samples, counted, route=route, status="200") == 1
    assert value(samples, "batchscout_http_request_duration_seconds_count", route=route) == 1


def test_a_bug_is_counted_as_one(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody has foreseen is a 500 here as well."""

    def broken(self: Jobs, **_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(Jobs, "page", broken)
    assert client.get(JOBS).status_code == 500
    assert value(scrape(client), "batchscout_http_requests_total", route=JOBS, status="500") == 1


def test_jobs_and_callbacks_are_there_in_every_state(client: TestClient, jobs: Jobs) -> None:
    """Also in those that none is in, so that a graph has no holes."""
    asked = Asked(callback_url="https://hook.example/")
    first, *_ = [jobs.create({}, "sha256:0", max_queued=9, asked=asked) for _ in range(3)]
    jobs.cancel(first.id)
    samples = scrape(client)
    states = dict.fromkeys(JobState, 0.0) | {"queued": 2.0, "cancelled": 1.0}
    for state, count in states.items():
        assert value(samples, "batchscout_jobs", state=state) == count
    assert value(samples, "batchscout_queue_depth") == 2
    found = ("waiting", "pending", "delivered", "given_up")
    counts = [value(samples, "batchscout_callbacks", state=state) for state in found]
    assert counts == [2, 1, 0, 0]


def test_a_finished_job_leaves_its_figures(
    client: TestClient, settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """Trials as its list shows them, the work of its device, and a heartbeat."""
    samples = scrape(client)
    assert value(samples, "batchscout_controller_heartbeat_age_seconds") is None
    assert value(samples, "batchscout_trials_total", state="complete") == 0
    job = add(jobs)
    executor = FakeExecutor()
    controller = controller_on(settings, ledger, executor)
    drive(controller, lambda: has_ended(jobs, job))
    controller._beat_at = -float("inf")
    controller.turn(0.0)
    items = client.get(f"{JOBS}/{job.id}/trials").json()["items"]
    samples = scrape(client)
    for state in ("complete", "censored", "diverged", "infeasible"):
        shown = sum(item["state"] == state for item in items)
        assert value(samples, "batchscout_trials_total", state=state) == shown
    assert items
    assert value(samples, "batchscout_trials_total", state="running") is None
    age = value(samples, "batchscout_controller_heartbeat_age_seconds")
    assert age is not None
    assert age >= 0
    share = value(samples, "batchscout_device_busy_share", device="cpu")
    assert share is not None
    assert 0 < share <= 1
    seconds = value(samples, "batchscout_device_busy_seconds_total", device="cpu")
    assert seconds is not None
    assert seconds > 0
    assert value(samples, "batchscout_child_restarts_total", device="cpu") == 0
    (worker,) = client.get("/v1/workers").json()["items"]
    assert (worker["busy_share"], worker["busy_seconds"]) == (share, seconds)


def test_a_trial_is_counted_once(jobs: Jobs, ledger: Ledger, database: Database) -> None:
    """However often it is written again, as after a restart; and a deleted one still counts."""
    job = jobs.create({}, "sha256:0", max_queued=9)
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))

    def write(*states: str) -> Mapping[str, int]:
        trials = {position: {"state": state} for position, state in enumerate(states)}
        ledger.commit(Turn(job_number=job.number, trials=trials))
        return read_figures(database).trials

    assert write("running", "running") == {}
    assert write("complete", "running") == {"complete": 1}
    assert write("complete", "diverged") == {"complete": 1, "diverged": 1}
    assert write("complete", "diverged", "complete") == {"complete": 2, "diverged": 1}
    ledger.commit(Turn(job_number=job.number, state=JobState.FAILED))
    jobs.delete(job.id)
    assert read_figures(database).trials == {"complete": 2, "diverged": 1}


def test_an_older_controllers_device_is_still_shown(client: TestClient, ledger: Ledger) -> None:
    """A device that was written down without its busy time has no such sample."""
    view = {"id": "cpu", "accelerator": "cpu", "child_restarts": 4}
    ledger.beat(pid=1, started_at=datetime.now(UTC), devices=[view])
    samples = scrape(client)
    assert value(samples, "batchscout_child_restarts_total", device="cpu") == 4
    assert value(samples, "batchscout_device_busy_share", device="cpu") is None


def test_a_scrape_reads_indexes_and_small_tables_alone(
    client: TestClient, database: Database
) -> None:
    """Its cost does not grow with trials, records or results, and no job is read itself."""
    statements: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _, __, statement, *___: statements.append(statement),
    )
    read_figures(database)
    queries = [one for one in statements if one.startswith("SELECT")]
    assert len(queries) == 5
    for query in queries:
        assert not any(table in query for table in ("trial ", "record", "result", "attempt"))
        if "job" in query or "callback" in query:
            with database.read() as session:
                plan = session.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()
            assert all("COVERING INDEX" in row.detail for row in plan), plan


def test_a_scrape_needs_a_key_where_keys_are_demanded(settings: Settings) -> None:
    """How much a service does is nobody else's business."""
    guarded = settings.model_copy(update={"require_keys": True})
    with TestClient(create_app(guarded), base_url="http://127.0.0.1") as client:
        assert client.get("/metrics").status_code == 401
        app: Any = client.app
        _, key = app.state.parts.keys.create("scraper")
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200
