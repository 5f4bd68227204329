"""Memory estimates over HTTP, with traces that a law predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.api.dependencies import Parts
from service.api.examples import ESTIMATE
from service.estimates import CACHED_ANSWERS, Estimates
from service.settings import Settings
from tests.tuner.deciding.memory_laws import Law
from tuner.cards import cards
from tuner.records import MemoryPrediction, MemoryTrace
from workers.tracing_child import Busy, ChildDied, TookTooLong

ADDRESS = "/v1/memory-estimates"
MIB = 2**20
LAW = Law(fixed=100 * MIB, slope=50 * MIB)
BODY: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp"},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification"},
    "gpus": ["A10-24GB"],
}


@dataclass
class FakeTracing:
    """Predicts by a law, in this process, and counts."""

    law: Law = LAW
    parameter_bytes: int = 7
    reason: str | None = None
    busy: bool = False
    error: Exception | None = None
    requests: list[MemoryTrace] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)

    @contextmanager
    def turn(self, *, keep: bool) -> Iterator[Callable[[MemoryTrace], MemoryPrediction]]:
        """Serve one caller."""
        if self.busy:
            raise Busy("Another one was still running after 15 s.")
        self.kept.append(keep)
        yield self._trace

    def _trace(self, request: MemoryTrace) -> MemoryPrediction:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        sizes = request.micro_batch_sizes
        return MemoryPrediction(
            points=() if self.reason else tuple(self.law.predicted(size) for size in sizes),
            parameter_bytes=self.parameter_bytes,
            gradient_bytes=6,
            optimizer_state_bytes=5,
            buffer_bytes=4,
            data_bytes=3,
            activation_bytes_per_sample=0.0,
            traced=self.reason is None,
            reason=self.reason,
            device_seconds=0.5,
        )


@pytest.fixture
def tracing(client: TestClient) -> FakeTracing:
    """What the API traces with, as long as a test lasts."""
    fake = FakeTracing()
    settle(client, fake)
    return fake


def settle(client: TestClient, fake: FakeTracing, **settings: Any) -> None:
    """Give the API its traces, and other settings."""
    app: Any = client.app
    parts: Parts = app.state.parts
    changed = parts.settings.model_copy(update=settings)
    app.state.parts = replace(parts, settings=changed, estimates=Estimates(changed, fake))


def ask(client: TestClient, **parts: Any) -> Any:
    """Ask for an estimate that is made."""
    response = client.post(ADDRESS, json=BODY | parts)
    assert response.status_code == 200, response.text
    return response.json()


def refused(client: TestClient, **parts: Any) -> tuple[int, str, str | None]:
    """Status, code and blamed field of an estimate that is refused."""
    response = client.post(ADDRESS, json=BODY | parts)
    problem = response.json()
    assert problem["status"] == response.status_code
    blamed = problem["errors"][0]["pointer"] if problem["errors"] else None
    return response.status_code, problem["code"], blamed


def test_an_estimate_tells_all_of_a_card(client: TestClient, tracing: FakeTracing) -> None:
    """Bytes with their source, the largest size, the split and a verdict about one sample."""
    found = ask(client)
    assert (found["verdict"], found["micro_batch_size"], found["cached"]) == ("fits", None, False)
    assert found["bands"] == {"fits_share": 0.9, "does_not_fit_share": 1.05, "calibrated": False}
    (one,) = found["estimates"]
    a10 = cards()["A10-24GB"]
    assert (one["memory_bytes"], one["usable_bytes"]) == (a10.memory_bytes, a10.usable_bytes)
    assert (one["source"], one["reserve_source"]) == (a10.source, a10.reserve_source)
    assert one["max_micro_batch_size"] == 424
    assert one["limited_by"] == "memory"
    assert one["bytes_per_sample"] == 50 * MIB
    assert one["split"] == {
        "parameter_bytes": 7,
        "gradient_bytes": 6,
        "optimizer_state_bytes": 5,
        "buffer_bytes": 4,
        "data_bytes": 3,
        "activation_bytes_per_sample": 50 * MIB,
        "workspace_and_context_bytes": 576 * MIB,
    }
    assert (one["micro_batch_size"], one["live_bytes"]) == (1, 150 * MIB)
    assert one["total_bytes"] == one["reserved_bytes"] + 576 * MIB


def test_every_card_gets_a_verdict_and_the_worst_one_counts(
    client: TestClient, tracing: FakeTracing
) -> None:
    """A size that fits one card, and perhaps another, but not the third."""
    found = ask(client, gpus=["H100-80GB", "A10-24GB", "RTX3080-10GB"], micro_batch_size=410)
    assert [one["verdict"] for one in found["estimates"]] == ["fits", "unsure", "does_not_fit"]
    assert found["verdict"] == "does_not_fit"


def test_the_trace_is_of_the_whole_workload(client: TestClient, tracing: FakeTracing) -> None:
    """What was asked reaches the trace; a third pass per step adds nothing to the second."""
    ask(client, accumulation=5, micro_batch_size=3, memory_limit_bytes=10**9)
    request = tracing.requests[0]
    assert 3 in request.micro_batch_sizes
    assert (request.accumulation, request.workload.memory_limit_bytes) == (2, 10**9)
    assert request.workload.training["optimizer"]["momentum"] == 0.9
    assert request.card.device_type == "cuda"


def test_the_same_question_is_answered_once(client: TestClient, tracing: FakeTracing) -> None:
    """Defaults that are written out make no other question; another size does."""
    first = ask(client)
    made = len(tracing.requests)
    again = ask(client, memory_margin=0.03, accumulation=2)
    assert len(tracing.requests) == made
    assert again == first | {"cached": True}
    assert ask(client, micro_batch_size=2)["cached"] is False


def test_the_cache_is_bounded(client: TestClient, tracing: FakeTracing) -> None:
    """The answers that were used last are kept."""
    for size in range(1, CACHED_ANSWERS + 2):
        ask(client, micro_batch_size=size)
    assert ask(client, micro_batch_size=CACHED_ANSWERS + 1)["cached"] is True
    assert ask(client, micro_batch_size=1)["cached"] is False


def test_a_changed_file_is_another_question(
    client: TestClient, tracing: FakeTracing, tmp_path: Path
) -> None:
    """An answer about a data file holds as long as the file does."""
    settle(client, tracing, file_roots=(tmp_path,))
    dataset = {"kind": "files", "format": "npz", "path": "data.npz"}
    for rows in (40, 80):
        x, y = np.zeros((rows, 4), "float32"), np.zeros(rows, "int64")
        np.savez(tmp_path / "data.npz", x_train=x, y_train=y)
        assert ask(client, dataset=dataset)["cached"] is False
        assert ask(client, dataset=dataset)["cached"] is True


def test_own_code_is_asked_anew(client: TestClient, tracing: FakeTracing) -> None:
    """Code may have changed in between, so it is neither cached nor left in a child."""
    settle(client, tracing, entrypoint_prefixes=("lab",))
    model = {"kind": "entrypoint", "target": "lab.net:model"}
    assert [ask(client, model=model)["cached"] for _ in range(2)] == [False, False]
    assert tracing.kept == [False, False]


@pytest.mark.parametrize(
    ("parts", "code", "blamed"),
    [
        ({"gpus": ["A10-24GB", "K80"]}, "card_unknown", "/gpus/1"),
        ({"gpus": []}, "invalid_spec", "/gpus"),
        ({"gpus": ["A10-24GB", "A10-24GB"]}, "invalid_spec", "/gpus"),
        ({"micro_batch_size": 0}, "invalid_spec", "/micro_batch_size"),
        ({"memory_limit_bytes": 0}, "invalid_spec", "/memory_limit_bytes"),
        ({"memory_limit_bytes": -1}, "invalid_spec", "/memory_limit_bytes"),
        ({"memory_margin": 1.0}, "invalid_spec", "/memory_margin"),
        ({"accumulation": 0}, "invalid_spec", "/accumulation"),
        ({"budget": {}}, "invalid_spec", "/budget"),
        ({"training": {"task": "regression"}}, "invalid_spec", "/dataset/name"),
        (
            {"model": {"kind": "entrypoint", "target": "os:system"}},
            "entrypoint_not_allowed",
            "/model/target",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_traced(
    client: TestClient, tracing: FakeTracing, parts: dict[str, Any], code: str, blamed: str
) -> None:
    """The field that is to blame is named, and no process is started for it."""
    assert refused(client, **parts) == (422, code, blamed)
    assert tracing.requests == []


def test_an_unknown_card_names_the_known_ones(client: TestClient, tracing: FakeTracing) -> None:
    """Whoever mistypes a name finds the right one in the answer."""
    problem = client.post(ADDRESS, json=BODY | {"gpus": ["a10"]}).json()
    assert problem["facts"]["cards"] == list(cards())
    assert "A10-24GB" in problem["detail"]


def test_what_cannot_be_traced_is_refused(client: TestClient, tracing: FakeTracing) -> None:
    """The reason is told, and nothing of it is kept."""
    tracing.reason = "a branch depends on a value"
    response = client.post(ADDRESS, json=BODY)
    assert (response.status_code, response.json()["code"]) == (422, "model_not_traceable")
    assert "a branch depends on a value" in response.json()["detail"]
    tracing.reason = None
    assert ask(client)["cached"] is False


def test_parameters_beyond_the_card_do_not_fit(client: TestClient, tracing: FakeTracing) -> None:
    """That is an answer with numbers, not a problem."""
    tracing.parameter_bytes = 30 * 2**30
    tracing.law = Law(fixed=30 * 2**30, slope=1)
    (one,) = ask(client)["estimates"]
    assert (one["verdict"], one["max_micro_batch_size"]) == ("does_not_fit", 0)
    assert one["split"]["parameter_bytes"] == 30 * 2**30


def test_who_waited_in_vain_may_come_back(client: TestClient, tracing: FakeTracing) -> None:
    """One estimate is made at a time; the others are told when to ask again."""
    tracing.busy = True
    response = client.post(ADDRESS, json=BODY)
    assert (response.status_code, response.json()["code"]) == (429, "estimates_busy")
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TookTooLong("It took more than 60 s."), 504, "estimate_timed_out"),
        (ChildDied("It was ended by SIGABRT."), 500, "estimate_lost"),
    ],
)
def test_a_trace_that_is_lost_is_a_problem(
    client: TestClient, tracing: FakeTracing, error: Exception, status: int, code: str
) -> None:
    """The service lives on and answers the next question."""
    tracing.error = error
    assert refused(client) == (status, code, None)
    tracing.error = None
    assert ask(client)["verdict"] == "fits"


def test_the_catalog_lists_the_cards(client: TestClient) -> None:
    """Every name that an estimate accepts, with its bytes and their source."""
    listed = client.get("/v1/catalog").json()["cards"]
    assert [card["name"] for card in listed] == list(cards())
    assert all(card["usable_bytes"] < card["memory_bytes"] for card in listed)
    assert all(card["source"] and card["reserve_source"] for card in listed)


def test_the_example_is_a_request_that_is_accepted(
    client: TestClient, tracing: FakeTracing
) -> None:
    """People can send what they are shown."""
    assert client.post(ADDRESS, json=ESTIMATE).status_code == 200


def test_an_estimate_needs_no_data_folder_of_a_job(
    client: TestClient, tracing: FakeTracing, settings: Settings
) -> None:
    """Nothing is stored for it."""
    ask(client)
    assert not settings.artifacts.exists()
