"""Real jobs over HTTP: answers, failures, cancels, and deaths in the middle."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.settings import Settings
from service.store.database import Database
from service.store.tables import TERMINAL
from service.supervise import Embedded
from tests.service.consistency import assert_consistent
from tuner.recommendation import Recommendation
from tuner.spec import digest

JOBS = "/v1/tuning-jobs"
SPEC: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp", "options": {"hidden": [16]}},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification", "optimizer": {"kind": "sgd", "momentum": 0.9}},
    "objective": {"kind": "time_to_target", "target": 0.3},
    "search_space": {"global_batch_size": {"low": 16, "high": 32}},
    "budget": {"max_trials": 2, "timeout_seconds": 240},
    "hardware": {"accelerator": "cpu"},
}


def create(client: httpx.Client, **parts: Any) -> str:
    """Queue a job and say where it is."""
    response = client.post(JOBS, json={**SPEC, **parts})
    assert response.status_code == 202, response.text
    location: str = response.headers["location"]
    return location


def follow(
    client: httpx.Client, address: str, until: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Wait for changes of a job until something holds of it."""
    tag, end = '"0"', time.monotonic() + 280
    while time.monotonic() < end:
        try:
            headers = {"If-None-Match": tag}
            response = client.get(address, params={"wait": 10}, headers=headers)
        except httpx.TransportError:
            continue
        if response.status_code == 304:
            continue
        assert response.status_code == 200, response.text
        tag, job = response.headers["etag"], response.json()
        if until(job):
            return dict(job)
    pytest.fail("it never came true")


def ended(job: dict[str, Any]) -> bool:
    """Whether a job has ended."""
    return job["state"] in TERMINAL


def id_of(address: str) -> str:
    """Id of the job at an address."""
    return address.rpartition("/")[2]


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
def test_a_job_outlives_every_process(
    client: httpx.Client, service: Embedded, database: Database
) -> None:
    """The API, the controller, both and the child die, in each stage: the job goes on."""
    address = create(client)
    victims = {
        "inspect": ["controller"],
        "memory": ["api", "controller"],
        "timing": ["child"],
        "race": ["controller"],
        "search": ["api"],
        "confirm": ["controller"],
    }
    dead = []
    while victims:
        job = follow(client, address, lambda job: job["stage"] in victims or ended(job))
        if ended(job):
            break
        for name in victims.pop(job["stage"]):
            dead += kill(client, service, name)
    job = follow(client, address, ended)
    assert job["state"] == "succeeded", job["problem"]
    assert {"controller", "api"} <= set(dead)
    assert_consistent(database, id_of(address))


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
