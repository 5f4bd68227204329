"""`batchscout estimate` and the client's estimates, against a service that plays a script."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchscout import client as clients
from batchscout.__main__ import main
from batchscout.commands import ask
from batchscout.errors import Refused, ServiceUnavailable, UnexpectedAnswer
from batchscout.estimate import Estimate, request_of
from batchscout.exits import Exit
from service.schemas import MemoryEstimate
from tests.batchscout.documents import PROBLEM, estimate
from tests.batchscout.test_answer import outline

SPEC: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp"},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification"},
    "objective": {"kind": "time_to_target", "target": 0.1},
    "budget": {"max_trials": 3},
    "hardware": {"accelerator": "cpu", "memory_limit_bytes": None, "memory_margin": 0.1},
    "seed": 3,
}


class Script:
    """Replies to every request alike and keeps what it was asked."""

    def __init__(self, document: Any, status: int = 200) -> None:
        self.document = document
        self.status = status
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Reply."""
        self.asked.append(request)
        return httpx.Response(self.status, json=self.document)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A file with the request of a whole tuning job."""
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(SPEC))
    return file


def run(monkeypatch: pytest.MonkeyPatch, script: Script, spec: Path, *arguments: str) -> int:
    """Run the command against a script."""

    def client(url: str) -> clients.Client:
        return clients.Client(url, transport=httpx.MockTransport(script))

    monkeypatch.setattr(ask, "Client", client)
    gpus = ["--gpu", "A10-24GB", "--gpu", "H100-80GB"]
    return main(["estimate", str(spec), *gpus, "--server", "http://service", *arguments])


def test_the_records_are_those_of_the_service() -> None:
    """Every field of the service's estimate is in ours, with the same shape, and no other."""
    assert outline(Estimate) == outline(MemoryEstimate)


def test_the_example_is_what_the_service_would_send() -> None:
    """The document that these tests read is a valid answer of the service."""
    document = estimate("fits", "unsure")
    assert MemoryEstimate.model_validate(document).model_dump(mode="json") == document


def test_a_whole_spec_is_cut_down_to_what_concerns_memory() -> None:
    """Limit and margin go along; objective, budget and seed would be refused."""
    body = request_of(SPEC, ["A10-24GB"], 8)
    kept = {name: SPEC[name] for name in ("model", "dataset", "training")}
    assert body == kept | {"gpus": ["A10-24GB"], "micro_batch_size": 8, "memory_margin": 0.1}
    assert "micro_batch_size" not in request_of({}, ["A10-24GB"])


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("fits", "fits"), Exit.OK),
        (("fits", "unsure"), Exit.UNTOLD),
        (("unsure", "does_not_fit"), Exit.NEGATIVE),
    ],
)
def test_the_exit_code_is_the_worst_verdict(
    monkeypatch: pytest.MonkeyPatch,
    spec: Path,
    capsys: pytest.CaptureFixture[str],
    verdicts: tuple[str, ...],
    code: Exit,
) -> None:
    """0 fits, 1 does not fit, 3 unsure; every card has a line with its verdict."""
    script = Script(estimate(*verdicts))
    assert run(monkeypatch, script, spec, "--micro-batch-size", "16") == code
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if "A10-24GB" in line]
    assert len(lines) == 2
    for line, verdict in zip(lines, verdicts, strict=True):
        assert line.endswith(verdict.replace("_", " "))
        assert "61" in line
    assert "optimizer state" in shown
    assert "not yet calibrated" in shown
    body = json.loads(script.asked[0].content)
    assert (body["gpus"], body["micro_batch_size"]) == (["A10-24GB", "H100-80GB"], 16)


def test_json_prints_the_estimate_alone(
    monkeypatch: pytest.MonkeyPatch, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json standard output is one JSON document, and the exit code stays."""
    document = estimate("fits", "unsure", micro_batch_size=None)
    assert run(monkeypatch, Script(document), spec, "--json") == Exit.UNTOLD
    assert json.loads(capsys.readouterr().out) == document


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (422, "card_unknown", Exit.USAGE),
        (422, "model_not_traceable", Exit.UNTOLD),
        (429, "estimates_busy", Exit.LATER),
        (500, "estimate_lost", Exit.UNTOLD),
        (504, "estimate_timed_out", Exit.UNTOLD),
    ],
)
def test_what_went_wrong_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    spec: Path,
    capsys: pytest.CaptureFixture[str],
    status: int,
    code: str,
    exit_code: Exit,
) -> None:
    """A mistake, a model that cannot be predicted, a busy service: scripts tell them apart."""
    problem = PROBLEM | {"status": status, "code": code, "detail": "this is why"}
    script = Script(problem, status)
    assert run(monkeypatch, script, spec) == exit_code
    assert "this is why" in capsys.readouterr().err
    assert len(script.asked) == 1


def test_the_command_line_has_to_name_a_card(spec: Path) -> None:
    """Without a card there is no question."""
    with pytest.raises(SystemExit) as caught:
        main(["estimate", str(spec), "--server", "http://service"])
    assert caught.value.code == Exit.USAGE


def test_a_file_without_a_spec_is_a_mistake(tmp_path: Path) -> None:
    """It is told before any service is asked or started."""
    missing = str(tmp_path / "none.json")
    assert main(["estimate", missing, "--gpu", "A10-24GB"]) == Exit.USAGE


@pytest.mark.parametrize(
    ("status", "error"),
    [(422, Refused), (503, ServiceUnavailable), (504, UnexpectedAnswer)],
)
def test_both_clients_estimate_alike(status: int, error: type[Exception]) -> None:
    """The sync and the async client return the same record and raise the same errors."""

    async def wait_for(script: Script) -> Estimate:
        transport = httpx.MockTransport(script)
        async with clients.AsyncClient("http://service", transport=transport) as client:
            return await client.estimate(SPEC, ["A10-24GB"])

    def at_once(script: Script) -> Estimate:
        with clients.Client("http://service", transport=httpx.MockTransport(script)) as client:
            return client.estimate(SPEC, ["A10-24GB"])

    good, bad = Script(estimate("fits")), Script(PROBLEM, status)
    assert at_once(good) == asyncio.run(wait_for(good))
    assert at_once(good).estimates[0].split.gradient_bytes == 440_000_000
    with pytest.raises(error):
        at_once(bad)
    with pytest.raises(error):
        asyncio.run(wait_for(bad))
