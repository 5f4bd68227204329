"""Callbacks as people ask for them and see them."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.store.callbacks import Callbacks, Settlement
from service.store.jobs import Jobs
from service.store.tables import CallbackState
from tests.service.fake_executor import SPEC

JOBS = "/v1/tuning-jobs"


def create(client: TestClient, url: str) -> Any:
    """Ask for a job with a callback."""
    return client.post(JOBS, json=SPEC, params={"callback_url": url})


def test_a_job_shows_its_callback(client: TestClient) -> None:
    """Where it goes without its query, and where it stands, on every way to the job."""
    created = create(client, "https://hook.example/a?token=hidden")
    assert created.status_code == 202
    shown = {
        "url": "https://hook.example/a",
        "state": "waiting",
        "attempts": 0,
        "last_status": None,
        "last_error": None,
    }
    address = created.headers["Location"]
    answers = [created, client.get(address), client.get(JOBS)]
    assert created.json()["callback"] == shown
    assert answers[1].json()["callback"] == shown
    assert answers[2].json()["items"][0]["callback"] == shown
    cancelled = client.post(f"{address}/cancel")
    assert cancelled.json()["callback"] == {**shown, "state": "pending"}
    assert all("hidden" not in answer.text for answer in [*answers, cancelled])


def test_most_jobs_have_none(client: TestClient) -> None:
    """Without a URL nobody is told."""
    assert client.post(JOBS, json=SPEC).json()["callback"] is None


def test_the_etag_of_an_ended_job_changes_with_its_callback(client: TestClient, jobs: Jobs) -> None:
    """Who knows the job by its ETag gets the outcome of a try."""
    address = create(client, "https://hook.example/").headers["Location"]
    etag = client.post(f"{address}/cancel").headers["ETag"]
    same = {"If-None-Match": etag}
    assert client.get(address, headers=same).status_code == 304
    callbacks = Callbacks(jobs._database)
    (due,) = callbacks.due(10)
    failed = Settlement(
        state=CallbackState.GIVEN_UP, next_at=None, status=410, error="It was answered with 410."
    )
    callbacks.settle(due.id, failed)
    found = client.get(address, headers=same)
    assert found.status_code == 200
    assert found.json()["callback"]["state"] == "given_up"
    assert found.json()["callback"]["last_error"] == "It was answered with 410."


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/",
        "http://127.1:8000/",
        "http://2130706433/",
        "http://localhost/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://hook.example:22/",
        "https://hook.example/#part",
    ],
)
def test_where_no_callback_may_go_is_refused(client: TestClient, url: str) -> None:
    """The job is not queued, and the parameter is to blame."""
    refused = create(client, url)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "callback_refused")
    assert problem["errors"][0]["parameter"] == "callback_url"
    assert client.get(JOBS).json()["items"] == []


def test_what_the_operator_allows_is_taken(settings: Settings) -> None:
    """A network of one's own is named in the settings."""
    values = {**settings.model_dump(), "callback_networks": "127.0.0.0/8,10.1.0.0/16"}
    with TestClient(create_app(Settings(**values)), base_url="http://127.0.0.1") as client:
        assert create(client, "http://127.0.0.1:9000/").status_code == 202
        assert create(client, "http://10.1.2.3/").status_code == 202
        assert create(client, "http://10.2.2.3/").status_code == 422
