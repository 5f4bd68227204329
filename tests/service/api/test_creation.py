"""Creating a job twice: the same request is one job, however often and at once it comes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from service.api import tuning_jobs
from service.api.dependencies import Parts
from service.api.in_flight import InFlight, InUse
from service.store.database import now
from service.store.idempotency import KEPT
from service.store.tables import Idempotency
from tests.service.fake_executor import SPEC

JOBS = "/v1/tuning-jobs"


def parts_of(client: TestClient) -> Parts:
    """The wired parts of the application behind a client."""
    parts = client.app.state.parts  # type: ignore[attr-defined]
    assert isinstance(parts, Parts)
    return parts


def post(client: TestClient, key: str | None, body: Any = SPEC, **query: Any) -> httpx.Response:
    """Ask for a job under a key."""
    headers = {} if key is None else {"Idempotency-Key": key}
    response: httpx.Response = client.post(JOBS, json=body, headers=headers, params=query)
    return response


def test_the_same_request_leads_to_the_same_job(client: TestClient) -> None:
    """Each time 202 with the job as it is now, also when it has ended."""
    first = post(client, "k")
    client.post(f"{first.headers['location']}/cancel")
    second = post(client, "k")
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.headers["location"] == first.headers["location"]
    assert second.json()["state"] == "cancelled"
    assert len(client.get(JOBS).json()["items"]) == 1


def test_without_a_key_each_request_is_a_job(client: TestClient) -> None:
    """And keys that differ are requests that differ."""
    found = {post(client, key).json()["id"] for key in (None, None, "a", "b", "A")}
    assert len(found) == 5


@pytest.mark.parametrize(
    "other",
    [{"body": {**SPEC, "seed": 99}}, {"force": True}, {"callback_url": "https://example.org/h"}],
)
def test_another_request_under_the_key_is_refused(
    client: TestClient, other: dict[str, Any]
) -> None:
    """Whatever differs, nothing is queued."""
    post(client, "k")
    response = post(client, "k", **other)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert len(client.get(JOBS).json()["items"]) == 1


def test_the_order_of_members_makes_no_other_request(client: TestClient) -> None:
    """What counts is the JSON value, not how it was written down."""
    turned = dict(reversed(SPEC.items()))
    assert post(client, "k", turned).json()["id"] == post(client, "k").json()["id"]


def test_a_refused_request_does_not_use_its_key_up(client: TestClient) -> None:
    """Corrected, it may come under the same key."""
    assert post(client, "k", {}).status_code == 422
    assert post(client, "k").status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "tab\there"])
def test_a_key_that_cannot_be_is_named(client: TestClient, key: str) -> None:
    """The problem names the header as it is written."""
    response = post(client, key)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert response.json()["errors"][0]["parameter"] == "Idempotency-Key"
    assert post(client, "x" * 255).status_code == 202


def test_the_first_request_must_be_answered_first(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then a second one is told to come back; afterwards it gets the job."""
    admitting, go_on = threading.Event(), threading.Event()
    real = tuning_jobs.JOBS.admit

    def slowly(*arguments: Any, **named: Any) -> Any:
        admitting.set()
        assert go_on.wait(30)
        return real(*arguments, **named)

    monkeypatch.setattr(tuning_jobs, "JOBS", replace(tuning_jobs.JOBS, admit=slowly))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client, "k")
        assert admitting.wait(30)
        early = post(client, "k")
        go_on.set()
        job_id = first.result().json()["id"]
    assert (early.status_code, early.json()["code"]) == (409, "idempotency_key_in_use")
    assert int(early.headers["retry-after"]) > 0
    assert post(client, "k").json()["id"] == job_id


def test_fifty_at_once_make_one_job(client: TestClient) -> None:
    """Each gets that job, or is told to come back and then gets it."""
    together = threading.Barrier(50)

    def insist(_: int) -> str:
        together.wait(30)
        while (response := post(client, "k")).status_code == 409:
            assert response.json()["code"] == "idempotency_key_in_use"
        assert response.status_code == 202, response.text
        job_id: str = response.json()["id"]
        return job_id

    with ThreadPoolExecutor(50) as pool:
        found = set(pool.map(insist, range(50)))
    assert len(found) == 1
    assert len(client.get(JOBS).json()["items"]) == 1


def test_the_register_lets_go_whatever_happens() -> None:
    """A request that fails does not block its key; keys of other owners are apart."""
    register = InFlight()

    def answer_and_fail() -> None:
        with register.hold("ak_1", "k"), register.hold("ak_2", "k"), register.hold(None, "k"):
            with register.hold("ak_1", None), register.hold("ak_1", None):
                pass
            with pytest.raises(InUse), register.hold("ak_1", "k"):
                pytest.fail("it is held")
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            answer_and_fail()


def test_keys_are_forgotten_after_a_while(client: TestClient) -> None:
    """An old one leads to a new job, and the old rows are gone."""
    first = post(client, "old").json()["id"]
    post(client, "young")
    with parts_of(client).jobs._database.write() as session:
        past = now() - KEPT - timedelta(seconds=1)
        session.execute(update(Idempotency).where(Idempotency.key == "old").values(created_at=past))
    post(client, "another")
    with parts_of(client).jobs._database.read() as session:
        left = set(session.scalars(select(Idempotency.key)))
    assert left == {"young", "another"}
    assert post(client, "old").json()["id"] != first


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "example.org",
        "https://",
        "https://user:secret@example.org/",
        "https://example.org:65536/",
        "https://example.org/a b",
        "https://example.org/" + "x" * 2048,
        "",
    ],
)
def test_a_callback_goes_to_an_address_of_the_web(client: TestClient, url: str) -> None:
    """What is none, or would store a password, is refused, and nothing is queued."""
    response = post(client, None, callback_url=url)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert response.json()["errors"][0]["parameter"] == "callback_url"
    assert client.get(JOBS).json()["items"] == []


def test_what_was_taken_once_is_not_refused_later(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeated request finds its job although the service would not take it any more."""
    first = post(client, "k")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("admitted again")

    monkeypatch.setattr(tuning_jobs, "JOBS", replace(tuning_jobs.JOBS, admit=refuse))
    assert post(client, "k").json()["id"] == first.json()["id"]
