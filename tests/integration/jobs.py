"""Jobs over HTTP, as a client sees them: queue one, follow it, and say when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.store.tables import TERMINAL

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
