"""Real studies over HTTP: measured findings, and deaths in the middle."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service.store.database import Database
from service.supervise import Embedded
from tests.integration.jobs import ended, follow, id_of
from tests.integration.test_service import kill
from tests.service.consistency import assert_consistent
from tuner.spec import digest
from tuner.study_findings import StudyFindings

STUDIES = "/v1/batch-size-studies"
SPEC: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp", "options": {"hidden": [16]}},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification", "optimizer": {"kind": "sgd"}},
    "batch_sizes": [32, 256],
    "learning_rate": {"kind": "linear", "learning_rate": 0.1, "at_batch_size": 32},
    "seeds": 2,
    "patience_epochs": 2,
    "max_epochs": 30,
    "figures": {"line_points": 7, "landscape_points": 3},
    "budget": {"timeout_seconds": 240},
    "hardware": {"accelerator": "cpu"},
}


def create(client: httpx.Client) -> str:
    """Queue the study and say where it is."""
    response = client.post(STUDIES, json=SPEC)
    assert response.status_code == 202, response.text
    location: str = response.headers["location"]
    return location


def findings_of(client: httpx.Client, address: str) -> StudyFindings:
    """Read all that a study found."""
    return StudyFindings.model_validate_json(client.get(f"{address}/findings").content)


@pytest.mark.full
def test_one_request_gives_measured_findings(client: httpx.Client, database: Database) -> None:
    """Every arm has runs with curves and minima, the line and the landscapes are there."""
    address = create(client)
    study = follow(client, address, ended)
    assert study["state"] == "succeeded", study["problem"]
    found = findings_of(client, address)
    assert found.spec_digest == digest(SPEC)
    assert [arm.batch_size for arm in found.arms] == SPEC["batch_sizes"]
    for arm in found.arms:
        assert len(arm.runs) == SPEC["seeds"]
        assert all(len(run.points) > 1 for run in arm.runs)
    assert found.claims
    runs = client.get(f"{address}/runs").json()["items"]
    assert {run["global_batch_size"] for run in runs} == set(SPEC["batch_sizes"])
    assert [claim["code"] for claim in study["summary"]["claims"]] == [
        claim.code for claim in found.claims
    ]
    assert_consistent(database, id_of(address))


@pytest.mark.full
def test_a_study_outlives_its_controller(
    client: httpx.Client, service: Embedded, database: Database
) -> None:
    """Killed while it trains and while it looks at minima, it goes on and trains nothing twice."""
    address = create(client)
    for stage in ("train", "minima"):
        seen = follow(client, address, lambda study, at=stage: study["stage"] == at or ended(study))
        assert seen["stage"] == stage
        assert kill(client, service, "controller")
    study = follow(client, address, ended)
    assert study["state"] == "succeeded", study["problem"]
    assert len(findings_of(client, address).arms) == len(SPEC["batch_sizes"])
    assert_consistent(database, id_of(address))
