"""Keys at the door: without one nobody gets in, with one nobody sees what is somebody else's."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from batchscout.client import Client
from service.api.dependencies import Parts
from service.api.examples import ESTIMATE
from service.api.security import OPEN
from service.app import create_app
from service.settings import Settings
from service.store.jobs import Jobs
from service.store.keys import Keys
from service.store.ledger import Ledger, Turn
from service.store.opening import opened
from service.store.tables import JobState
from service.supervise import Embedded
from tests.service.fake_executor import SPEC

JOBS = "/v1/tuning-jobs"


@pytest.fixture
def keyed(settings: Settings) -> Iterator[TestClient]:
    """A client of an API that demands keys, and has none yet."""
    app = create_app(settings.model_copy(update={"require_keys": True}))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def parts_of(client: TestClient) -> Parts:
    """The wired parts of the application behind a client."""
    parts = client.app.state.parts  # type: ignore[attr-defined]
    assert isinstance(parts, Parts)
    return parts


def make_key(client: TestClient, name: str = "ann") -> tuple[str, dict[str, str]]:
    """Make a key: its id, and the header that carries it."""
    row, key = parts_of(client).keys.create(name)
    return row.id, {"Authorization": f"Bearer {key}"}


def create(client: TestClient, headers: dict[str, str], **more: Any) -> str:
    """Queue a job and say its id."""
    response = client.post(JOBS, json={**SPEC, **more}, headers=headers)
    assert response.status_code == 202, response.text
    job_id: str = response.json()["id"]
    return job_id


def operations(client: TestClient) -> list[tuple[str, str]]:
    """Method and path of every operation that the document lists."""
    paths = client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item]


def test_every_operation_needs_a_key(keyed: TestClient) -> None:
    """None, one in another scheme, an unknown and a revoked one are refused with a challenge."""
    key_id, revoked = make_key(keyed)
    parts_of(keyed).keys.revoke(key_id)
    unknown = {"Authorization": "Bearer bs_unknown"}
    in_another_scheme = {"Authorization": "Basic YTpi"}
    closed = [(method, path) for method, path in operations(keyed) if path not in OPEN]
    assert len(closed) >= 9
    for method, path in closed:
        address = path.replace("{job_id}", "tj_none")
        for headers in ({}, {"Authorization": "Bearer "}, in_another_scheme, unknown, revoked):
            response = keyed.request(method, address, headers=headers, json={})
            assert response.status_code == 401, (method, path, headers)
            assert response.json()["code"] == "unauthenticated"
            assert response.headers["www-authenticate"].startswith("Bearer")


def test_health_is_open(keyed: TestClient) -> None:
    """Who looks after the process has no key, and the documentation holds no secret."""
    for address in (*OPEN, "/openapi.json", "/docs"):
        assert keyed.get(address).status_code == 200


def test_a_key_opens_everything(keyed: TestClient) -> None:
    """The scheme may be written in any case."""
    _, headers = make_key(keyed)
    create(keyed, {"Authorization": headers["Authorization"].replace("Bearer", "bearer")})
    for address in (JOBS, "/v1/workers", "/v1/catalog"):
        assert keyed.get(address, headers=headers).status_code == 200
    refused = keyed.post("/v1/memory-estimates", json={**ESTIMATE, "gpus": []}, headers=headers)
    assert refused.status_code == 422


def test_without_keys_everybody_is_the_owner(client: TestClient) -> None:
    """Where none are demanded, a header is not looked at, and every job is seen."""
    parts = parts_of(client)
    create(client, {"Authorization": "Bearer bs_unknown"})
    parts.jobs.create(SPEC, "sha256:0", max_queued=9)
    assert len(client.get(JOBS).json()["items"]) == 2
    (job, _) = parts.jobs.page(limit=9)
    assert job.owner is None


def test_owners_do_not_see_one_another(keyed: TestClient) -> None:
    """Lists are filtered page by page, and cursors of others lead to nothing of theirs."""
    (_, ann), (_, bob) = make_key(keyed, "ann"), make_key(keyed, "bob")
    of_ann = [create(keyed, ann, seed=number) for number in range(3)]
    of_bob = [create(keyed, bob, seed=number) for number in range(3)]
    page = keyed.get(JOBS, params={"limit": 2}, headers=ann).json()
    cursor = {"cursor": page["next_cursor"]}
    rest = keyed.get(JOBS, params=cursor, headers=ann).json()
    assert [job["id"] for job in page["items"] + rest["items"]] == of_ann[::-1]
    assert rest["next_cursor"] is None
    theirs = keyed.get(JOBS, params=cursor, headers=bob).json()["items"]
    assert {job["id"] for job in theirs} <= set(of_bob)


def test_the_job_of_another_is_not_found(keyed: TestClient) -> None:
    """Every operation on one job answers as if there were none, and changes nothing."""
    (_, ann), (_, bob) = make_key(keyed, "ann"), make_key(keyed, "bob")
    job_id = create(keyed, ann)
    nowhere = keyed.get(f"{JOBS}/tj_none", headers=bob).json()
    about_one = [(method, path) for method, path in operations(keyed) if "{job_id}" in path]
    assert len(about_one) >= 5
    for method, path in about_one:
        response = keyed.request(method, path.replace("{job_id}", job_id), headers=bob)
        assert response.status_code == 404, (method, path)
        problem = response.json()
        assert problem["detail"] == nowhere["detail"].replace("tj_none", job_id)
    mine = keyed.get(f"{JOBS}/{job_id}", headers=ann).json()
    assert (mine["state"], mine["revision"]) == ("queued", 1)


def test_a_long_poll_of_a_revoked_key_ends_with_a_refusal(keyed: TestClient) -> None:
    """What changed meanwhile is not told any more."""
    key_id, headers = make_key(keyed)
    job_id = create(keyed, headers)
    parts = parts_of(keyed)
    job = parts.jobs.get(job_id)
    assert job is not None
    waits = threading.Event()
    real = parts.watch.wait

    async def noting(*arguments: Any, **named: Any) -> None:
        waits.set()
        await real(*arguments, **named)

    parts.watch.wait = noting  # type: ignore[method-assign]

    def revoke_then_change() -> None:
        assert waits.wait(30)
        parts.keys.revoke(key_id)
        turn = Turn(job_number=job.number, state=JobState.RUNNING)
        Ledger(parts.jobs._database).commit(turn)

    meanwhile = threading.Thread(target=revoke_then_change)
    meanwhile.start()
    tag = {"If-None-Match": '"1"'}
    response = keyed.get(f"{JOBS}/{job_id}", params={"wait": 30}, headers={**headers, **tag})
    meanwhile.join()
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


def test_a_key_has_a_limit_of_its_own(keyed: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has used it up is told when to come back; others are not held up."""
    (_, ann), (_, bob) = make_key(keyed, "ann"), make_key(keyed, "bob")
    narrow = parts_of(keyed).settings.model_copy(update={"max_queued_jobs_per_key": 2})
    parts = replace(parts_of(keyed), settings=narrow)
    monkeypatch.setattr(keyed.app.state, "parts", parts)  # type: ignore[attr-defined]
    first = [create(keyed, ann, seed=number) for number in range(2)]
    response = keyed.post(JOBS, json=SPEC, headers=ann)
    assert (response.status_code, response.json()["code"]) == (429, "key_queue_full")
    assert int(response.headers["retry-after"]) > 0
    create(keyed, bob)
    keyed.post(f"{JOBS}/{first[0]}/cancel", headers=ann)
    create(keyed, ann)


def test_no_log_holds_a_key(
    keyed: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a valid nor a wrong one, not even where the service breaks down."""
    caplog.set_level(logging.DEBUG)
    _, headers = make_key(keyed)
    wrong = {"Authorization": "Bearer bs_wrong-but-nearly-right"}
    create(keyed, headers)
    texts = [keyed.get(JOBS, headers=wrong).text]

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Jobs, "page", fail)
    texts.append(keyed.get(JOBS, headers=headers).text)
    assert "a bug" in caplog.text
    monkeypatch.setattr(Keys, "find", fail)
    texts.append(keyed.get(JOBS, headers=headers).text)
    for sent in (headers, wrong):
        key = sent["Authorization"].removeprefix("Bearer ")
        assert key not in caplog.text
        assert all(key not in text for text in texts)


def test_a_service_with_keys_serves_their_owner(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real connection: queue, cancel, remove; the log and the processes show no key."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    demanding = settings.model_copy(update={"require_keys": True})
    with opened(demanding) as database:
        _, key = Keys(database).create("ann")
    with Embedded(demanding) as service, Client(service.url, key) as client:
        job = client.create(SPEC)
        client.cancel(job.id)
        assert client.wait(job.id).is_terminal
        client.delete(job.id)
        for pid in service.pids.values():
            assert key not in Path(f"/proc/{pid}/cmdline").read_text()
            assert key not in Path(f"/proc/{pid}/environ").read_text()
    assert key not in (settings.data_dir / "service.log").read_text()
