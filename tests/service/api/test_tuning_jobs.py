"""Tuning jobs over HTTP: create, wait, list, cancel, read."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from service.api.dependencies import Parts
from service.api.examples import DIGITS
from service.schemas import TuningJob
from service.store.jobs import Jobs
from service.store.ledger import Ledger, Turn
from service.store.tables import JobState
from tests.service.fake_executor import SPEC
from tuner.spec import digest

JOBS = "/v1/tuning-jobs"
JSON = {"content-type": "application/json"}


def parts_of(client: TestClient) -> Parts:
    """The wired parts of the application behind a client."""
    parts = client.app.state.parts  # type: ignore[attr-defined]
    assert isinstance(parts, Parts)
    return parts


def create(client: TestClient, **more: Any) -> str:
    """Queue a job and say where it is."""
    response = client.post(JOBS, json={**SPEC, **more})
    assert response.status_code == 202, response.text
    return response.headers["location"]


def write(client: TestClient, address: str, **turn: Any) -> None:
    """Write about a job as the controller does."""
    jobs = parts_of(client).jobs
    job = jobs.get(address.rpartition("/")[2])
    assert job is not None
    Ledger(jobs._database).commit(Turn(job_number=job.number, **turn))


def test_a_job_is_accepted(client: TestClient) -> None:
    """202 with the job itself, where it is, and when to look again."""
    response = client.post(JOBS, json=DIGITS)
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"{JOBS}/{job['id']}"
    assert response.headers["etag"] == '"1"'
    assert int(response.headers["retry-after"]) > 0
    assert (job["state"], job["stage"], job["spec"]) == ("queued", None, DIGITS)
    assert job["spec_digest"] == digest(DIGITS)
    assert client.get(response.headers["location"]).json() == job


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", JSON, 400, "invalid_json"),
        (b'{"a": 1, "a": 2}', JSON, 400, "invalid_json"),
        (b"[" * 5000, JSON, 400, "invalid_json"),
        (b"{}", JSON, 422, "invalid_spec"),
        (b"{}", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {}, 415, "unsupported_media_type"),
        (b" " * (1024 * 1024 + 1), JSON, 413, "body_too_large"),
    ],
)
def test_a_bad_body_is_a_problem(
    client: TestClient, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    """Each has its status and code, and nothing is queued."""
    response = client.post(JOBS, content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert response.json()["instance"] == JOBS
    assert client.get(JOBS).json()["items"] == []


def test_a_body_of_unknown_length_is_cut_off(client: TestClient) -> None:
    """The limit holds for what arrives, whatever was announced."""
    response = client.post(JOBS, content=(b" " * 65536 for _ in range(32)), headers=JSON)
    assert response.json()["code"] == "body_too_large"


def test_a_refusal_names_the_field(client: TestClient) -> None:
    """Admission's refusals come as problems with a pointer."""
    body = {**SPEC, "dataset": {"kind": "files", "format": "npz", "path": "../x"}}
    response = client.post(JOBS, json=body)
    assert response.status_code == 422
    assert response.json()["code"] == "path_outside_root"
    assert response.json()["errors"][0]["pointer"] == "/dataset/path"


def test_the_queue_limit_says_when_to_come_back(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue is a 429 with `Retry-After`."""
    for number in range(3):
        create(client, seed=number)
    settings = parts_of(client).settings.model_copy(update={"max_queued_jobs": 3})
    parts = parts_of(client)
    changed = replace(parts, settings=settings)
    monkeypatch.setattr(client.app.state, "parts", changed)  # type: ignore[attr-defined]
    response = client.post(JOBS, json=SPEC)
    assert (response.status_code, response.json()["code"]) == (429, "queue_full")
    assert "retry-after" in response.headers


def test_an_unknown_job_is_a_problem(client: TestClient) -> None:
    """Every address below a job says so."""
    for method, path in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("GET", "/trials"),
        ("GET", "/recommendation"),
    ]:
        response = client.request(method, f"{JOBS}/tj_none{path}")
        assert (response.status_code, response.json()["code"]) == (404, "tuning_job_not_found")


def test_waiting_for_a_change_ends_with_it(client: TestClient) -> None:
    """With `If-None-Match` the answer comes as soon as the revision differs."""
    address = create(client)
    change = threading.Timer(0.2, write, (client, address), {"state": JobState.RUNNING})
    change.start()
    response = client.get(address, params={"wait": 30}, headers={"If-None-Match": '"1"'})
    change.join()
    assert response.status_code == 200
    assert (response.json()["state"], response.headers["etag"]) == ("running", '"2"')


def test_waiting_in_vain_is_not_modified(client: TestClient) -> None:
    """Without a change the answer is 304, with the tag and no body."""
    address = create(client)
    response = client.get(address, params={"wait": 0.05}, headers={"If-None-Match": '"1"'})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"1"'


def test_waiting_without_a_tag_is_for_the_end(client: TestClient) -> None:
    """A mere change does not end it; the end of the job does."""
    address = create(client)
    write(client, address, state=JobState.RUNNING)

    def go_on() -> None:
        write(client, address, stage="memory")
        write(client, address, state=JobState.CANCELLED)

    end = threading.Timer(0.2, go_on)
    end.start()
    response = client.get(address, params={"wait": 30})
    end.join()
    assert response.json()["state"] == "cancelled"
    assert "retry-after" not in response.headers


def test_waiting_for_the_end_in_vain_shows_the_job(client: TestClient) -> None:
    """A 200 with the job as it is, so that every client can read it."""
    response = client.get(create(client), params={"wait": 0.05})
    assert (response.status_code, response.json()["state"]) == (200, "queued")


def test_a_job_that_has_ended_is_not_waited_for(client: TestClient) -> None:
    """It will not change any more: 304 at once, however long the wait."""
    address = create(client)
    client.post(f"{address}/cancel")
    response = client.get(address, params={"wait": 3600}, headers={"If-None-Match": '"2"'})
    assert response.status_code == 304


@pytest.mark.parametrize("tag", ['W/"1"', '"0", "1"', "*"])
def test_tags_are_compared_as_http_says(client: TestClient, tag: str) -> None:
    """Weak tags, lists and the asterisk match as well."""
    address = create(client)
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 304


def test_cancel_is_idempotent(client: TestClient) -> None:
    """Asking again gives the same job and the same 202."""
    address = create(client)
    first, second = client.post(f"{address}/cancel"), client.post(f"{address}/cancel")
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    assert first.json()["state"] == "cancelled"


def test_a_job_that_has_ended_is_removed(client: TestClient) -> None:
    """204 with the job and its files gone, 409 before its end, 404 the second time."""
    address = create(client)
    early = client.delete(address)
    assert (early.status_code, early.json()["code"]) == (409, "not_finished")
    client.post(f"{address}/cancel")
    artifacts = parts_of(client).settings.places_of(address.rpartition("/")[2]).artifacts
    artifacts.mkdir(parents=True)
    (artifacts / "checkpoint").touch()
    gone = client.delete(address)
    assert (gone.status_code, gone.content) == (204, b"")
    assert not artifacts.exists()
    for method in ("DELETE", "GET"):
        response = client.request(method, address)
        assert (response.status_code, response.json()["code"]) == (404, "tuning_job_not_found")
    assert client.get(JOBS).json()["items"] == []


def test_pages_are_followed_by_their_cursor(client: TestClient) -> None:
    """Every job is seen once, the newest first."""
    addresses = [create(client, seed=number) for number in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(JOBS, params={"limit": 2, **cursor}).json()
        seen += [f"{JOBS}/{job['id']}" for job in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == addresses[::-1]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("state=done", "state"),
    ],
)
def test_a_bad_parameter_is_named(client: TestClient, query: str, parameter: str) -> None:
    """The problem says which parameter, and not a pointer."""
    response = client.get(f"{JOBS}?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert response.json()["errors"][0]["parameter"] == parameter


def test_jobs_are_listed_by_state(client: TestClient) -> None:
    """Only those in that state."""
    one, other = create(client), create(client, seed=1)
    client.post(f"{one}/cancel")
    items = client.get(JOBS, params={"state": "queued"}).json()["items"]
    assert [item["id"] for item in items] == [other.rpartition("/")[2]]


def test_a_recommendation_that_is_not_there_yet(client: TestClient) -> None:
    """409 while the job can still give one, 404 when it cannot any more."""
    address = create(client)
    early = client.get(f"{address}/recommendation")
    assert (early.status_code, early.json()["code"]) == (409, "not_finished")
    assert "retry-after" in early.headers
    client.post(f"{address}/cancel")
    late = client.get(f"{address}/recommendation")
    assert (late.status_code, late.json()["code"]) == (404, "no_recommendation")


def test_a_job_that_is_stored_can_be_shown(client: TestClient) -> None:
    """A failed job carries the same kind of problem as a refused request."""
    address = create(client)
    problem = client.get("/nowhere").json()
    write(client, address, state=JobState.FAILED, problem=problem)
    job = TuningJob.model_validate_json(client.get(address).content)
    assert job.problem is not None
    assert job.problem.code == "not_found"
    detail = client.get(f"{address}/recommendation").json()["detail"]
    assert problem["detail"] in detail


def test_trials_come_in_pages(client: TestClient) -> None:
    """In the order of their start, shown as the controller wrote them."""
    address = create(client)
    view = {
        "request_id": "race-0", "stage": "race", "state": "diverged", "global_batch_size": 8,
        "micro_batch_size": 8, "gradient_accumulation_steps": 1, "learning_rate": 0.1,
        "seed": 1, "steps": 2.0, "calibrated_seconds": None, "metric": None, "asam": None,
    }  # fmt: skip
    write(client, address, state=JobState.RUNNING, trials={0: {**view, "number": 0}})
    write(client, address, trials={1: {**view, "number": 1}})
    first = client.get(f"{address}/trials", params={"limit": 1}).json()
    second = client.get(f"{address}/trials", params={"cursor": first["next_cursor"]}).json()
    assert [trial["number"] for trial in first["items"] + second["items"]] == [0, 1]
    assert second["next_cursor"] is None


def test_only_strict_json_leaves_the_service(client: TestClient) -> None:
    """What is shown can be read by every JSON reader."""
    address = create(client)
    write(client, address, state=JobState.RUNNING, stage="race")
    json.loads(client.get(address).content, parse_constant=pytest.fail)


def test_what_another_version_wrote_is_said_to_be_unreadable(client: TestClient) -> None:
    """A job whose answer has another shape is still listed, and says why it shows none."""
    address = create(client)
    write(client, address, state=JobState.RUNNING, trials={0: {"of": "another version"}})
    write(client, address, state=JobState.SUCCEEDED, answer={"of": "another version"})
    (listed,) = client.get(JOBS).json()["items"]
    assert (listed["state"], listed["recommendation"]) == ("succeeded", None)
    assert listed["problem"]["code"] == "incompatible_upgrade"
    for path in ("/recommendation", "/trials"):
        response = client.get(address + path)
        assert (response.status_code, response.json()["code"]) == (409, "incompatible_upgrade")


def test_a_database_that_does_not_answer_is_said_so(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with the advice to come back, and no job is promised."""

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", None, OSError("disk full"))

    monkeypatch.setattr(Jobs, "create", fail)
    response = client.post(JOBS, json=SPEC)
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert "retry-after" in response.headers
