"""`batchscout report` and the Optuna export, from a service to a file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import optuna
import pytest

from batchscout import client as client_module
from batchscout.__main__ import main
from batchscout.client import AsyncClient, Client
from batchscout.commands.export_optuna import export_optuna
from batchscout.errors import UnexpectedAnswer
from batchscout.exits import Exit
from service.report import MEDIA_TYPES, ReportFormat, write_report
from tests.service.evidence.gathered import ended_study, ended_tuning

ADDRESS = "http://127.0.0.1:9"


def answer(request: httpx.Request) -> httpx.Response:
    """Answer as the service does, with the reports of a job and of a study that ended."""
    of = {
        f"/v1/tuning-jobs/{ended_tuning().job_id}/report": ended_tuning,
        f"/v1/batch-size-studies/{ended_study().job_id}/report": ended_study,
    }
    found = of.get(request.url.path)
    if found is None:
        problem = {"title": "no", "status": 404, "code": "tuning_job_not_found", "detail": "none"}
        return httpx.Response(404, json=problem)
    form = ReportFormat(request.url.params["format"])
    headers = {"content-type": MEDIA_TYPES[form]}
    return httpx.Response(200, text=write_report(found(), form), headers=headers)


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client of this process asks that service."""
    real = httpx.Client

    def make(**arguments: object) -> httpx.Client:
        return real(**{**arguments, "transport": httpx.MockTransport(answer)})  # type: ignore[arg-type]

    monkeypatch.setattr(client_module.httpx, "Client", make)


@pytest.mark.parametrize(
    ("name", "begins"), [("r.html", "<!doctype html>"), ("r.md", "# Tuning"), ("r.json", "{")]
)
def test_the_name_of_the_file_tells_the_format(tmp_path: Path, name: str, begins: str) -> None:
    """The report that is written is of the format that its name says."""
    out = tmp_path / name
    job_id = ended_tuning().job_id
    assert main(["report", job_id, "--out", str(out), "--server", ADDRESS]) == Exit.OK
    assert out.read_text("utf-8").startswith(begins)


def test_a_study_has_a_report_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The id says what it is of; `-` is standard output."""
    job_id = ended_study().job_id
    code = main(["report", job_id, "--out", "-", "--format", "json", "--server", ADDRESS])
    assert code == Exit.OK
    assert json.loads(capsys.readouterr().out)["kind"] == "study"


def test_what_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file is written of no job, and none where there is no folder."""
    out = tmp_path / "r.html"
    assert main(["report", "tj_none", "--out", str(out), "--server", ADDRESS]) == Exit.USAGE
    assert "tuning_job_not_found" in capsys.readouterr().err
    assert not out.exists()
    nowhere = tmp_path / "none" / "r.html"
    job_id = ended_tuning().job_id
    assert main(["report", job_id, "--out", str(nowhere), "--server", ADDRESS]) == Exit.USAGE
    assert "cannot be written" in capsys.readouterr().err


def test_the_async_client_fetches_the_same() -> None:
    """Both clients return the very file."""
    job_id = ended_tuning().job_id

    async def fetch() -> str:
        transport = httpx.MockTransport(answer)
        async with AsyncClient(ADDRESS, transport=transport) as client:
            return await client.report(job_id, "md")

    assert asyncio.run(fetch()) == Client(ADDRESS).report(job_id, "md")


def test_a_job_is_exported_to_optuna(tmp_path: Path) -> None:
    """The study of a job has its id as its name; a study of ours is none of Optuna's."""
    path = tmp_path / "study.db"
    job_id = ended_tuning().job_id
    with Client(ADDRESS) as client:
        assert export_optuna(client, job_id, path) == len(ended_tuning().runs)
        with pytest.raises(UnexpectedAnswer):
            export_optuna(client, ended_study().job_id, path)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    assert optuna.study.get_all_study_names(storage) == [job_id]
    storage.remove_session()
    storage.engine.dispose()
