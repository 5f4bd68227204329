"""Health, workers, catalog, hosts, and failures that nobody expected."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text, update

from service.api.dependencies import Parts
from service.api.hosts import means_this_machine
from service.app import create_app
from service.controller import Controller
from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import Ledger
from service.store.tables import ControllerRow
from tests.service.fake_executor import SPEC, FakeExecutor
from tuner.spec import digest
from tuner.tuning import Tuning


def test_the_process_is_alive(client: TestClient) -> None:
    """`/livez` looks at nothing else."""
    assert client.get("/livez").json() == {"state": "alive"}


def test_ready_without_a_controller(client: TestClient) -> None:
    """A missing controller is reported; jobs are accepted and wait."""
    found = client.get("/readyz")
    assert found.status_code == 200
    assert found.json()["controller"]["state"] == "absent"


def test_a_controller_that_was_not_seen_lately_is_stale(
    client: TestClient, database: Database, ledger: Ledger
) -> None:
    """Fresh after a beat, stale when the last one is long ago."""
    ledger.beat(pid=1, started_at=datetime.now(UTC), devices=[])
    assert client.get("/readyz").json()["controller"]["state"] == "fresh"
    with database.write() as session:
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        session.execute(update(ControllerRow).values(seen_at=long_ago))
    assert client.get("/readyz").json()["controller"]["state"] == "stale"


def test_a_schema_of_another_version_is_not_ready(client: TestClient, database: Database) -> None:
    """The API does not work on a database that it does not know."""
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    found = client.get("/readyz")
    assert (found.status_code, found.json()["code"]) == (503, "not_ready")
    with database.write() as session:
        session.execute(text("DROP TABLE alembic_version"))
    assert client.get("/readyz").status_code == 503


def test_workers_show_what_they_do(
    client: TestClient, settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """A busy device names its attempt, an idle one names none."""
    executor = FakeExecutor()
    executor.held = True
    fast = settings.model_copy(update={"heartbeat_seconds": 1e-9})
    controller = Controller(settings=fast, ledger=ledger, executor=executor, make_machine=Tuning)
    controller.recover()
    (idle,) = client.get("/v1/workers").json()["items"]
    assert idle["attempt"] is None
    job = jobs.create(SPEC, digest(SPEC), max_queued=9)
    controller.turn(0.0)
    (busy,) = client.get("/v1/workers").json()["items"]
    assert busy["attempt"] == {"job_id": job.id, "request_id": "inspect-0", "number": 1}


def test_the_catalog_is_that_of_the_schema(client: TestClient) -> None:
    """Everything that a request can name is listed."""
    catalog = client.get("/v1/catalog").json()
    assert catalog["builtin_models"] == ["mlp", "cnn", "transformer"]
    assert catalog["optimizers"] == ["sgd", "adam", "adamw", "rmsprop"]
    assert catalog["objectives"] == ["time_to_target", "loss_at_budget"]
    assert catalog["file_formats"] == ["npz", "safetensors"]
    assert "gpt2" in catalog["architectures"]
    assert catalog["files_allowed"] is False
    digits = {"name": "digits", "task": "classification", "num_samples": 1797}
    assert digits in catalog["sklearn_datasets"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("PUT", "/v1/tuning-jobs", 405, "method_not_allowed"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
    ],
)
def test_unknown_addresses_and_methods_are_problems(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    """Also what the framework itself refuses."""
    response = client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert ("allow" in response.headers) == (status == 405)


def test_a_bug_is_a_problem_without_a_traceback(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People see that it is not their fault, and nothing of the inside."""
    inside = "the inside"

    def fail(*_: object) -> None:
        raise RuntimeError(inside)

    monkeypatch.setattr(Jobs, "get", fail)
    response = client.get("/v1/tuning-jobs/tj_x")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert inside not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8321", "127.0.0.1.evil", "8.8.8.8"])
def test_requests_for_other_hosts_are_refused(client: TestClient, host: str) -> None:
    """A page whose name was pointed at this machine gets nothing."""
    response = client.get("/livez", headers={"host": host})
    assert (response.status_code, response.json()["code"]) == (421, "unknown_host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8321", "[::1]:8321", "[::1]"]
)
def test_this_machine_has_several_names(host: str) -> None:
    """All of them are answered."""
    assert means_this_machine(host)


def test_a_trusted_network_may_use_any_name(settings: Settings) -> None:
    """Inside a container network the service has a name of its own."""
    trusting = settings.model_copy(update={"trust_network": True})
    with TestClient(create_app(trusting), base_url="http://batchscout.internal") as client:
        assert client.get("/livez").status_code == 200


def test_the_documentation_is_there(client: TestClient) -> None:
    """`/docs` shows the document of `/openapi.json`."""
    assert "/openapi.json" in client.get("/docs").text
    assert isinstance(client.app.state.parts, Parts)  # type: ignore[attr-defined]
