"""Batch-size studies over HTTP: a resource beside tuning jobs, with the same manners."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.api.dependencies import Parts
from service.api.examples import DIGITS, STUDY
from service.kept import kept
from service.store.ledger import Ledger, Turn
from service.store.tables import JobState
from service.study_schemas import BatchSizeStudy
from tests.service.api.followers import events_of
from tests.service.api.test_tuning_jobs import parts_of
from tests.service.fake_executor import SPEC
from tests.service.small_study import STUDY as SMALL
from tests.service.small_study import SmallStudy, StudyWorld
from tuner.records import CapacityChanged, Result, Start, Started
from tuner.spec import StudySpec, digest
from tuner.study_findings import StudyFindings

STUDIES = "/v1/batch-size-studies"
JOBS = "/v1/tuning-jobs"

RUN: dict[str, Any] = {
    "number": 0, "request_id": "train-b8-r0-s0", "stage": "train", "state": "running",
    "global_batch_size": 8, "micro_batch_size": 8, "gradient_accumulation_steps": 1,
    "learning_rate": 0.1, "seed": 1, "steps": None, "calibrated_seconds": None, "metric": None,
    "asam": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def findings() -> StudyFindings:
    """What the small study finds."""
    study = SmallStudy(StudySpec.model_validate(SMALL), spec_digest=digest(SMALL))
    study.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    world = StudyWorld()
    while (answer := study.answer) is None:
        (action,) = study.actions()
        assert isinstance(action, Start)
        study.apply(Started(request=action.request))
        result = world.measure(action.request)
        study.apply(Result(request_id=action.request.id, result=result))
    return answer


def create(client: TestClient, **more: Any) -> str:
    """Queue a study and say where it is."""
    response = client.post(STUDIES, json={**SMALL, **more})
    assert response.status_code == 202, response.text
    return response.headers["location"]


def write(client: TestClient, address: str, **turn: Any) -> None:
    """Write about a study as the controller does."""
    parts: Parts = parts_of(client)
    job = parts.jobs.get(address.rpartition("/")[2])
    assert job is not None
    Ledger(parts.jobs._database).commit(Turn(job_number=job.number, **turn))


def succeed(client: TestClient, address: str, findings: StudyFindings) -> None:
    """Have a study end with findings."""
    stored = kept(findings)
    write(client, address, state=JobState.RUNNING)
    end = {"answer": stored.answer, "findings": stored.findings}
    write(client, address, state=JobState.SUCCEEDED, **end)


def test_a_study_is_accepted(client: TestClient) -> None:
    """202 with the study itself, where it is, and when to look again."""
    response = client.post(STUDIES, json=STUDY)
    assert response.status_code == 202, response.text
    study = response.json()
    assert response.headers["location"] == f"{STUDIES}/{study['id']}"
    assert response.headers["etag"] == '"1"'
    assert int(response.headers["retry-after"]) > 0
    assert (study["state"], study["summary"], study["spec"]) == ("queued", None, STUDY)
    assert study["spec_digest"] == digest(STUDY)
    assert client.get(response.headers["location"]).json() == study


@pytest.mark.parametrize(
    ("parts", "code", "pointer"),
    [
        ({"batch_sizes": [64, 8]}, "invalid_spec", "/batch_sizes"),
        ({"batch_sizes": [8, 1439]}, "batch_above_data_cap", "/batch_sizes/1"),
        ({"seeds": 0}, "invalid_spec", "/seeds"),
        ({"learning_rate": {"kind": "linear", "learning_rate": 0.1}}, "invalid_spec",
         "/learning_rate/at_batch_size"),
        ({"learning_rate": {"kind": "cubic"}}, "invalid_spec", "/learning_rate/kind"),
        ({"batch_size": 3}, "invalid_spec", "/batch_size"),
        ({"batch_sizes": list(range(1, 17)), "seeds": 50,
          "learning_rate": {"kind": "grid", "learning_rates": [0.1, 0.2, 0.3]}},
         "study_too_large", "/seeds"),
        ({"dataset": {"kind": "files", "format": "npz", "path": "../x"}}, "path_outside_root",
         "/dataset/path"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field(
    client: TestClient, parts: dict[str, Any], code: str, pointer: str
) -> None:
    """Admission's refusals come as problems with a pointer, and nothing is queued."""
    response = client.post(STUDIES, json={**SMALL, **parts})
    assert (response.status_code, response.json()["code"]) == (422, code), response.text
    assert response.json()["errors"][0]["pointer"] == pointer
    assert client.get(STUDIES).json()["items"] == []


def test_the_largest_batch_is_all_training_samples(client: TestClient) -> None:
    """1,438 of the 1,797 digits are left to train on: that many may be in one batch."""
    assert create(client, batch_sizes=[1, 1438])


def test_each_kind_is_found_in_its_own_place_alone(client: TestClient) -> None:
    """The id of one kind is unknown under the other, whatever is done with it."""
    study = create(client).rpartition("/")[2]
    job = client.post(JOBS, json=SPEC).json()["id"]
    below = [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/events")]
    for method, path in [*below, ("GET", "/trials"), ("GET", "/recommendation")]:
        response = client.request(method, f"{JOBS}/{study}{path}")
        assert (response.status_code, response.json()["code"]) == (404, "tuning_job_not_found")
    for method, path in [*below, ("GET", "/runs"), ("GET", "/findings")]:
        response = client.request(method, f"{STUDIES}/{job}{path}")
        found = (response.status_code, response.json()["code"])
        assert found == (404, "batch_size_study_not_found")
    assert client.get(f"{STUDIES}/{study}").json()["state"] == "queued"
    assert client.get(f"{JOBS}/{job}").json()["state"] == "queued"


def test_each_kind_is_listed_alone(client: TestClient) -> None:
    """Pages hold studies only, the newest first, and a cursor of the other list is refused."""
    addresses = []
    for number in range(3):
        addresses.append(create(client, seed=number))
        client.post(JOBS, json={**SPEC, "seed": number})
    first = client.get(STUDIES, params={"limit": 2}).json()
    rest = client.get(STUDIES, params={"cursor": first["next_cursor"]}).json()
    seen = [f"{STUDIES}/{item['id']}" for item in first["items"] + rest["items"]]
    assert seen == addresses[::-1]
    assert rest["next_cursor"] is None
    jobs = client.get(JOBS, params={"limit": 2}).json()
    assert {item["id"][:3] for item in jobs["items"]} == {"tj_"}
    wrong = client.get(STUDIES, params={"cursor": jobs["next_cursor"]})
    assert wrong.json()["code"] == "invalid_parameter"
    client.post(f"{addresses[0]}/cancel")
    ended = client.get(STUDIES, params={"state": "cancelled"}).json()["items"]
    assert [f"{STUDIES}/{item['id']}" for item in ended] == addresses[:1]


def test_waiting_for_a_change_ends_with_it(client: TestClient) -> None:
    """With `If-None-Match` the answer comes as soon as the revision differs; 304 otherwise."""
    address = create(client)
    known = {"If-None-Match": '"1"'}
    assert client.get(address, params={"wait": 0.05}, headers=known).status_code == 304
    change = threading.Timer(0.2, write, (client, address), {"state": JobState.RUNNING})
    change.start()
    response = client.get(address, params={"wait": 30}, headers=known)
    change.join()
    assert (response.json()["state"], response.headers["etag"]) == ("running", '"2"')


def test_what_was_found_is_read_on_its_own(client: TestClient, findings: StudyFindings) -> None:
    """The study has a summary without curves; the findings have them; before its end neither."""
    address = create(client)
    early = client.get(f"{address}/findings")
    assert (early.status_code, early.json()["code"]) == (409, "not_finished")
    assert "retry-after" in early.headers
    succeed(client, address, findings)
    study = client.get(address)
    shown = BatchSizeStudy.model_validate_json(study.content)
    assert shown.summary is not None
    assert shown.summary.claims == findings.claims
    assert b'"points"' not in study.content
    whole = client.get(f"{address}/findings")
    assert StudyFindings.model_validate_json(whole.content) == findings
    listed = client.get(STUDIES).json()["items"]
    assert listed == [study.json()]


def test_a_study_that_was_cancelled_has_no_findings(client: TestClient) -> None:
    """404 with the reason; cancelling again changes nothing."""
    address = create(client)
    first, second = client.post(f"{address}/cancel"), client.post(f"{address}/cancel")
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    late = client.get(f"{address}/findings")
    assert (late.status_code, late.json()["code"]) == (404, "no_findings")


def test_a_study_that_has_ended_is_removed(client: TestClient, findings: StudyFindings) -> None:
    """204 with its findings and files gone, 409 before its end, 404 the second time."""
    address = create(client)
    assert client.delete(address).json()["code"] == "not_finished"
    succeed(client, address, findings)
    artifacts = parts_of(client).settings.places_of(address.rpartition("/")[2]).artifacts
    artifacts.mkdir(parents=True)
    assert client.delete(address).status_code == 204
    assert not artifacts.exists()
    assert client.delete(address).json()["code"] == "batch_size_study_not_found"


def test_runs_are_listed_as_the_controller_wrote_them(client: TestClient) -> None:
    """In the order of their start, in pages."""
    address = create(client)
    write(client, address, state=JobState.RUNNING, trials={0: RUN})
    write(client, address, trials={1: {**RUN, "number": 1, "state": "complete", "steps": 4.0}})
    first = client.get(f"{address}/runs", params={"limit": 1}).json()
    second = client.get(f"{address}/runs", params={"cursor": first["next_cursor"]}).json()
    assert first["items"] == [RUN]
    assert [run["state"] for run in second["items"]] == ["complete"]
    assert second["next_cursor"] is None


def test_events_tell_the_study_and_its_runs(client: TestClient) -> None:
    """As they are shown elsewhere, the spec left out, then the end."""
    address = create(client)
    write(client, address, state=JobState.RUNNING, stage="train", trials={0: RUN})
    client.post(f"{address}/cancel")
    write(client, address, state=JobState.CANCELLED)
    response = client.get(f"{address}/events")
    shown = client.get(address).json()
    del shown["spec"]
    revision = str(shown["revision"])
    assert events_of(response.text) == [
        ("trial", None, RUN),
        ("job", revision, shown),
        ("end", revision, {"state": "cancelled"}),
    ]


def test_a_repeated_request_leads_to_the_same_study(client: TestClient) -> None:
    """Under one key there is one study, and a tuning job is not asked for with it."""
    key = {"Idempotency-Key": "k"}
    first = client.post(STUDIES, json=SMALL, headers=key).json()
    assert client.post(STUDIES, json=SMALL, headers=key).json()["id"] == first["id"]
    other = client.post(JOBS, json=DIGITS, headers=key)
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_summary_of_another_version_is_a_problem(client: TestClient) -> None:
    """The study is shown all the same; its findings are refused."""
    address = create(client)
    write(client, address, state=JobState.RUNNING)
    write(client, address, state=JobState.SUCCEEDED, answer={"old": 1}, findings={"old": 1})
    problem = client.get(address).json()["problem"]
    assert (problem["code"], problem["instance"]) == ("incompatible_upgrade", address)
    assert client.get(f"{address}/findings").json()["code"] == "incompatible_upgrade"
