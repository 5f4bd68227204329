"""Thousands of requests made from the OpenAPI document, and what must hold of every answer.

Schemathesis makes them: the document's own examples, the edges of every schema, random values
valid and invalid, and chains of requests along the document's links. All of its checks are on.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from service.settings import Settings
from tests.service.api.live import Live, live

COMMITTED = Path(__file__).resolve().parents[3] / "openapi.json"
ACCEPTED: Final = ("2xx", "3xx", "401", "403", "404", "409", "429", "5xx")
"""What the check of valid requests takes for an answer by itself."""

PATIENCE_SECONDS: Final = 540.0
"""How long the tool may run before it is taken for stuck."""


def also(*statuses: str) -> str:
    """Have the check of valid requests take these statuses besides."""
    return f"positive_data_acceptance.expected-statuses = {json.dumps([*ACCEPTED, *statuses])}"


EXCLUSIONS: Final = (
    (
        "create_tuning_job",
        also("400", "422"),
        (
            "JSON Schema cannot say what goes together: a data set has one task, a range has its "
            "low end below its high end, a card has to be there, a callback has to be public. "
            "Integers over 64 bits inside of a model's free configuration are refused as JSON."
        ),
    ),
    ("create_batch_size_study", also("400", "422"), "As above."),
    (
        "estimate_memory",
        also("400", "422"),
        "As above; and the names of cards are not an enumeration, since the catalogue grows.",
    ),
    (
        "list_tuning_jobs",
        also("422"),
        "A cursor is opaque: the schema calls it a text, and a text that was made up is refused.",
    ),
    ("list_trials", also("422"), "As above."),
    ("list_batch_size_studies", also("422"), "As above."),
    ("list_study_runs", also("422"), "As above."),
    (
        "get_recommendation",
        "ensure_resource_availability.enabled = false",
        "A job that was cancelled is there and has no recommendation: 404 `no_recommendation`.",
    ),
    (
        "get_study_findings",
        "ensure_resource_availability.enabled = false",
        "A study that was cancelled is there and has no findings: 404 `no_findings`.",
    ),
    (
        "stream_events",
        "response_schema_conformance.enabled = false",
        (
            "Of a stream, OpenAPI 3.1 can describe the whole text alone; the tool holds that "
            "schema against each event (3.2 has `itemSchema`, which generators refuse). What an "
            "event looks like is tested beside its code."
        ),
    ),
    ("stream_study_events", "response_schema_conformance.enabled = false", "As above."),
)
"""Every place where a check is told to expect more or nothing, and why. All others are on."""


def configuration(key: str) -> str:
    """The key and the exclusions, in the words of the tool."""
    parts = ["[checks]", "enabled = true", "[headers]", f'Authorization = "Bearer {key}"']
    for operation, setting, _ in EXCLUSIONS:
        parts += ["[[operations]]", f'include-operation-id = "{operation}"', f"checks.{setting}"]
    return "\n".join(parts) + "\n"


@pytest.fixture
def service(settings: Settings) -> Iterator[Live]:
    """A service whose jobs end within seconds, and whose long polls do not last."""
    plenty = {"max_queued_jobs": 10**6, "max_queued_jobs_per_key": 10**6}
    brief = {"max_wait_seconds": 0.05, "event_stream_seconds": 0.2}
    with live(settings.model_copy(update={**plenty, **brief})) as service:
        yield service


def hold_against(service: Live, folder: Path, *options: str) -> dict[str, Any]:
    """Have every operation tried, and read the report."""
    (folder / "schemathesis.toml").write_text(configuration(service.key))
    report = folder / "report.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(folder / "schemathesis.toml"), "--no-color"),
        *("run", str(COMMITTED), "--url", service.url, "--seed", "20"),
        *("--request-timeout", "60", "--continue-on-failure"),
        *("--report", "json", "--report-json-path", str(report)),
        *options,
    ]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def test_some_hundred_requests_are_answered_as_the_document_says(
    service: Live, tmp_path: Path
) -> None:
    """Every operation by its own examples and by random values: nothing is found."""
    options = ("--phases", "examples,fuzzing", "--max-examples", "32")
    found = hold_against(service, tmp_path, *options)
    assert found["operations"]["tested"] == found["operations"]["total"] > 10
    assert found["test_cases"]["generated"] >= 200


@pytest.mark.full
@pytest.mark.timeout(600)
def test_thousands_of_requests_are_answered_as_the_document_says(
    service: Live, tmp_path: Path
) -> None:
    """The edges of every schema and chains of requests as well: nothing is found."""
    found = hold_against(service, tmp_path, "--max-examples", "40")
    assert found["operations"]["tested"] == found["operations"]["total"]
    assert {phase["status"] for phase in found["phases"].values()} == {"success"}
    assert found["test_cases"]["generated"] >= 2000
    unmet = {name: about for name, about in found["warnings"].items() if about}
    # What random specs do not know is what the exclusions say.
    assert unmet.keys() <= {"validation_mismatch"}


def test_an_exclusion_is_for_an_operation_that_is_there() -> None:
    """Nothing is excused that does not exist any more, and each has its reason."""
    paths = json.loads(COMMITTED.read_text(encoding="utf-8"))["paths"]
    there = {operation["operationId"] for path in paths.values() for operation in path.values()}
    assert {operation for operation, _, _ in EXCLUSIONS} <= there
    assert all(reason for _, _, reason in EXCLUSIONS)
