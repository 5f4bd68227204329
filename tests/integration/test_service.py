"""Real jobs over HTTP: answers, failures, cancels, and deaths in the middle."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.settings import Settings
from service.store.database import Database
from service.supervise import Embedded
from tests.integration.jobs import SPEC, create, ended, follow, id_of
from tests.service.consistency import assert_consistent
from tuner.recommendation import Recommendation
from tuner.spec import digest


def test_a_cancel_frees_the_device(
    client: httpx.Client, service: Embedded, database: Database
) -> None:
    """A job that is cancelled in the middle ends, and the next one gets the device."""
    first, second = create(client), create(client, seed=1)
    follow(client, first, lambda job: job["state"] == "running")
    time.sleep(1.0)
    assert client.post(f"{first}/cancel").json()["state"] == "cancelling"
    assert follow(client, first, ended)["state"] == "cancelled"
    assert follow(client, second, lambda job: job["state"] != "queued")["state"] == "running"
    client.post(f"{second}/cancel")
    assert follow(client, second, ended)["state"] == "cancelled"
    for address in (first, second):
        assert_consistent(database, id_of(address))


def test_bad_data_ends_the_job_with_a_problem(client: httpx.Client, settings: Settings) -> None:
    """What only the data itself shows is found at inspection, and named like a refusal."""
    x, y = np.zeros((400, 4), "float32"), np.zeros(400, "int64")
    x[7, 1] = np.nan
    np.savez(settings.file_roots[0] / "bad.npz", x_train=x, y_train=y)
    dataset = {"kind": "files", "format": "npz", "path": "bad.npz"}
    job = follow(client, create(client, dataset=dataset), ended)
    assert job["state"] == "failed"
    assert job["problem"]["code"] == "data_not_finite"
    assert job["problem"]["errors"][0]["pointer"].startswith("/dataset")


def test_one_request_gives_one_measured_recommendation(
    client: httpx.Client, database: Database
) -> None:
    """A real job over HTTP passes every stage and is answered with measurements."""
    address = create(client)
    job = follow(client, address, ended)
    assert job["state"] == "succeeded", job["problem"]
    answer = Recommendation.model_validate_json(client.get(f"{address}/recommendation").content)
    product = answer.micro_batch_size * answer.gradient_accumulation_steps
    assert answer.global_batch_size == product * answer.data_parallel_size
    assert 16 <= answer.global_batch_size <= 32
    assert answer.spec_digest == digest(SPEC)
    trials = client.get(f"{address}/trials").json()["items"]
    assert {trial["stage"] for trial in trials} >= {"race", "confirm"}
    assert_consistent(database, id_of(address))


@pytest.mark.full
def test_the_same_workload_is_verified_the_second_time(
    client: httpx.Client, database: Database
) -> None:
    """Real training: the second job is told what the first one found, and holds it against runs."""
    first, second = create(client), create(client, hardware={"accelerator": "auto"})
    for address in (first, second):
        job = follow(client, address, ended)
        assert job["state"] == "succeeded", job["problem"]
        assert_consistent(database, id_of(address))
    answer = Recommendation.model_validate_json(client.get(f"{second}/recommendation").content)
    trials = client.get(f"{second}/trials").json()["items"]
    assert [trial["stage"] for trial in trials[:1]] == ["verify"]
    rejected = "reuse_rejected" in {one.code for one in answer.warnings}
    if answer.reused is not None:
        assert answer.reused.job_id == id_of(first)
        assert [trial["stage"] for trial in trials] == ["verify", "verify"]
    assert rejected != (answer.reused is not None)


@pytest.mark.full
@pytest.mark.parametrize("victims", [["api"], ["controller"], ["api", "controller"]])
def test_a_job_outlives_every_process(
    client: httpx.Client, service: Embedded, database: Database, victims: list[str]
) -> None:
    """The API, the controller or both are killed in each stage: the job goes on.

    Without the API the job is driven on, so that its short stages may pass unseen.
    """
    address = create(client)
    seen: list[str] = []
    while True:
        job = follow(client, address, lambda job: is_measuring(job, seen) or ended(job))
        if ended(job):
            break
        seen.append(job["stage"])
        assert all(kill(client, service, name) for name in victims)
    assert job["state"] == "succeeded", job["problem"]
    always = {"inspect", "memory", "timing", "race"}
    assert always | ({"search", "confirm"} if "controller" in victims else set()) <= set(seen)
    assert_consistent(database, id_of(address))


def is_measuring(job: dict[str, Any], seen: list[str]) -> bool:
    """Whether a job is in a stage that was not seen yet."""
    return job["stage"] is not None and job["stage"] not in seen


def kill(client: httpx.Client, service: Embedded, name: str) -> list[str]:
    """Kill one process, if it is there, and say so."""
    if name == "child":
        workers = client.get("/v1/workers").json()["items"]
        pids = [worker["child_pid"] for worker in workers if worker["child_pid"]]
    else:
        pids = [pid for pid in [service.pids[name]] if pid]
    return [name for pid in pids if killed(pid)]


def killed(pid: int) -> bool:
    """Kill a process; False if it has ended meanwhile."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.full
def test_a_child_that_is_killed_costs_an_attempt(
    client: httpx.Client, service: Embedded, database: Database
) -> None:
    """Its request is tried again under the next number, and the job goes on."""
    address = create(client)
    follow(client, address, lambda job: job["stage"] == "timing")
    time.sleep(3.0)
    while not kill(client, service, "child"):
        time.sleep(0.05)
    follow(client, address, lambda job: job["stage"] not in {"inspect", "memory", "timing"})
    with database.read() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT state, cause FROM attempt WHERE request_id LIKE 'timing%' ORDER BY number"
        )
        *lost, last = [tuple(row) for row in rows]
    assert lost
    assert set(lost) == {("lost", "crashed")}
    assert last == ("finished", None)
    client.post(f"{address}/cancel")
    follow(client, address, ended)
    assert_consistent(database, id_of(address))


def test_nothing_is_left_of_a_service_that_ends_in_the_middle(settings: Settings) -> None:
    """Ended while it measures, it takes its children along; a later one takes the job up."""
    with Embedded(settings) as service, httpx.Client(base_url=service.url) as client:
        address = create(client)
        follow(client, address, lambda job: job["state"] == "running")
    assert measuring(settings) == []
    with Embedded(settings) as service, httpx.Client(base_url=service.url) as client:
        assert client.get(address).json()["state"] == "running"
        client.post(f"{address}/cancel")
        assert follow(client, address, ended)["state"] == "cancelled"
    assert measuring(settings) == []


def measuring(settings: Settings) -> list[int]:
    """Processes that carry the environment of a deployment, this one left out."""
    mark = f"XDG_RUNTIME_DIR={settings.data_dir.parent / 'run'}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            found += [int(folder.name)] if mark in environment else []
    return found
