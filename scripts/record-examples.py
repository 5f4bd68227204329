"""Record what the API answers, as the examples of its OpenAPI document.

Runs a service, has it tune and study a small network on real data, and writes the bodies of its
responses by operation. Long lists are cut: an example shows a shape.

    python scripts/record-examples.py service/api/recorded.json
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import httpx

from service.api.examples import DIGITS, ESTIMATE, STUDY
from service.settings import Settings
from service.supervise import Embedded

JOBS: Final = "/v1/tuning-jobs"
STUDIES: Final = "/v1/batch-size-studies"
MOST_ITEMS: Final = 4
"""Items of a list that an example shows."""

ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})


def record(client: httpx.Client) -> dict[str, Any]:
    """Ask for everything once.

    Args:
        client: Of a service that runs and has no jobs.

    Returns:
        Bodies of responses by the name of the operation.
    """
    created = client.post(JOBS, json=DIGITS).raise_for_status()
    address = created.headers["Location"]
    second = client.post(JOBS, json=DIGITS | {"seed": 1}).raise_for_status().headers["Location"]
    found = {
        "create_tuning_job": created.json(),
        "cancel_tuning_job": client.post(f"{second}/cancel").raise_for_status().json(),
        "get_tuning_job": _follow(client, address, stage="search"),
        "list_workers": _get(client, "/v1/workers"),
    }
    _follow(client, address)
    return found | {
        "list_tuning_jobs": _get(client, f"{JOBS}?limit=1&state=succeeded"),
        "list_trials": _get(client, f"{address}/trials?limit=2"),
        "get_recommendation": _get(client, f"{address}/recommendation"),
        "get_catalog": _get(client, "/v1/catalog"),
        "get_liveness": _get(client, "/livez"),
        "get_readiness": _get(client, "/readyz"),
        "estimate_memory": client.post("/v1/memory-estimates", json=ESTIMATE).json(),
    }


def record_studies(client: httpx.Client) -> dict[str, Any]:
    """Ask for everything about studies once.

    Args:
        client: Of a service that runs and has no studies.

    Returns:
        Bodies of responses by the name of the operation.
    """
    created = client.post(STUDIES, json=STUDY).raise_for_status()
    address = created.headers["Location"]
    second = client.post(STUDIES, json=STUDY | {"seed": 1}).raise_for_status().headers["Location"]
    cancelled = client.post(f"{second}/cancel").raise_for_status().json()
    ended = _follow(client, address)
    return {
        "create_batch_size_study": created.json(),
        "cancel_batch_size_study": cancelled,
        "get_batch_size_study": ended,
        "list_batch_size_studies": _get(client, f"{STUDIES}?limit=1&state=succeeded"),
        "list_study_runs": _get(client, f"{address}/runs?limit=2"),
        "get_study_findings": _get(client, f"{address}/findings"),
    }


def _get(client: httpx.Client, address: str) -> Any:
    return client.get(address).raise_for_status().json()


def _follow(client: httpx.Client, address: str, *, stage: str | None = None) -> Any:
    """Wait for the end of a job, or for a stage of it with a first result."""
    tag = '"0"'
    while True:
        reply = client.get(address, params={"wait": 30}, headers={"If-None-Match": tag})
        if reply.status_code == httpx.codes.NOT_MODIFIED:
            continue
        job, tag = reply.raise_for_status().json(), reply.headers["ETag"]
        if job["state"] in ENDED or _has_best(job, stage):
            return job


def _has_best(job: dict[str, Any], stage: str | None) -> bool:
    return stage is not None and job["stage"] == stage and bool(job["progress"]["best"])


def shorten(value: Any) -> Any:
    """Cut every list inside of a JSON value to its first items."""
    if isinstance(value, dict):
        return {name: shorten(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shorten(item) for item in value[:MOST_ITEMS]]
    return value


def main(target: Path) -> None:
    """Record into a file."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Embedded(Settings(data_dir=Path(folder), port=0)) as service,
        httpx.Client(base_url=service.url, timeout=120) as client,
    ):
        found = shorten(record(client) | record_studies(client))
    target.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
