"""Optuna's own tools open a job."""

from __future__ import annotations

import builtins
import json
import math
import threading
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import optuna
import pytest

from batchscout.__main__ import main
from batchscout.client import Client
from batchscout.exits import Exit
from batchscout.optuna_study import OptunaMissing, write_optuna_study
from service.report import ReportFormat, write_report
from tests.service.evidence.gathered import ended_tuning


def report() -> dict[str, Any]:
    """What a client fetches of a job that ended."""
    whole: dict[str, Any] = json.loads(write_report(ended_tuning(), ReportFormat.JSON))
    return whole


def written(path: Path) -> dict[str, Any]:
    """Write that job as a study."""
    whole = report()
    count = write_optuna_study(
        whole["runs"], whole["answer"], path, name=whole["job_id"], spec=whole["spec"]
    )
    assert count == len(whole["runs"])
    return whole


def test_optuna_loads_every_run(tmp_path: Path) -> None:
    """Values are measured ones, stopped runs have none, and curves are intermediate values."""
    path = tmp_path / "it's a study.db"
    whole = written(path)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    study = optuna.load_study(study_name=whole["job_id"], storage=storage)
    assert study.direction is optuna.study.StudyDirection.MINIMIZE
    assert len(study.trials) == len(whole["runs"])
    for trial, run in zip(study.trials, whole["runs"], strict=True):
        assert trial.params["global_batch_size"] == run["global_batch_size"]
        assert math.isclose(trial.params["learning_rate"], run["learning_rate"])
        assert trial.user_attrs["seed"] == run["seed"]
        complete = run["state"] == "complete"
        assert (trial.state is optuna.trial.TrialState.COMPLETE) == complete
        assert trial.value == (run["calibrated_seconds"] if complete else None)
        if run["state"] == "censored":
            assert trial.user_attrs["censored_at_seconds"] == run["calibrated_seconds"]
        if run["state"] == "diverged":
            assert "reason" in trial.user_attrs
        known = {p["step"]: p["value"] for p in run["curve"] if p["value"] is not None}
        assert trial.intermediate_values == pytest.approx(known)
    assert study.user_attrs["recommended_global_batch_size"] == whole["answer"]["global_batch_size"]
    low = min(run["calibrated_seconds"] for run in whole["runs"] if run["state"] == "complete")
    assert study.best_value == low
    storage.remove_session()
    storage.engine.dispose()


def test_a_study_that_is_there_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Nothing of an older file is left, and no other file."""
    path = tmp_path / "study.db"
    path.write_text("not a database")
    written(path)
    assert path.read_bytes().startswith(b"SQLite format 3")
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`batchscout export JOB --format optuna` fetches the job's evidence and says what it wrote."""
    whole, path = report(), tmp_path / "study.db"

    class Fake(Client):
        def __init__(self, url: str) -> None:
            reply = httpx.Response(200, json=whole)
            super().__init__(url, transport=httpx.MockTransport(lambda _: reply))

    monkeypatch.setattr("batchscout.client.Client", Fake)
    command = ["export", whole["job_id"], "--format", "optuna"]
    assert main([*command, "--out", str(path)]) == Exit.OK
    assert f"{len(whole['runs'])} runs" in capsys.readouterr().err
    assert path.read_bytes().startswith(b"SQLite format 3")
    assert main(command) == Exit.USAGE
    assert "--out" in capsys.readouterr().err
    assert main(["export", "--lock", "x", "--format", "optuna", "--out", "y"]) == Exit.USAGE
    assert main([*command, "--out", str(tmp_path / "no" / "folder.db")]) == Exit.USAGE
    assert "cannot be written" in capsys.readouterr().err


def test_without_optuna_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names what to install."""
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "optuna":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(OptunaMissing, match="pip install"):
        write_optuna_study([], None, tmp_path / "x.db", name="x", spec={})


class Quiet(WSGIRequestHandler):
    """Says nothing of what is asked."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.full
def test_the_dashboard_shows_it(tmp_path: Path) -> None:
    """Optuna's dashboard lists the study and each of its trials."""
    from optuna_dashboard import wsgi  # noqa: PLC0415 - a tool of this test alone

    path = tmp_path / "study.db"
    whole = written(path)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    with make_server("127.0.0.1", 0, wsgi(storage), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/api/studies"
            studies = httpx.get(url, trust_env=False).json()["study_summaries"]
            assert [study["study_name"] for study in studies] == [whole["job_id"]]
            shown = httpx.get(f"{url}/{studies[0]['study_id']}", trust_env=False)
            trials = shown.json()["trials"]
            assert len(trials) == len(whole["runs"])
            states = {trial["state"] for trial in trials}
            assert {"Complete", "Pruned"} <= states
        finally:
            server.shutdown()
            thread.join()
    storage.remove_session()
    storage.engine.dispose()
