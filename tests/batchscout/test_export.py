"""`batchscout export`, from a service and from a lock file, and `Client.export`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchscout.__main__ import main, make_parser
from batchscout.client import AsyncClient, Client
from batchscout.commands import export as command
from batchscout.errors import Refused, UnexpectedAnswer
from batchscout.exits import Exit
from tests.batchscout.documents import PROBLEM
from tests.tuner.exports.answers import answer
from tuner.exports.registry import FORMATS, export

REPOSITORY = Path(__file__).resolve().parents[2]
Reply = Callable[[httpx.Request], httpx.Response]


def answering(reply: Reply) -> type[Client]:
    """A client that reaches this reply instead of a service."""

    class Fake(Client):
        def __init__(self, url: str) -> None:
            super().__init__(url, transport=httpx.MockTransport(reply))

    return Fake


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have a service answer; the addresses that it was asked for."""
    seen: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json=answer())

    monkeypatch.setattr("batchscout.client.Client", answering(reply))
    return seen


def lock_file(folder: Path, **changes: Any) -> Path:
    """A lock file with an answer."""
    given = answer()
    document = {
        "lock_version": 1,
        "spec": "spec.json",
        "spec_digest": given["spec_digest"],
        "fingerprint": given["fingerprint"],
        "job_id": "tj_1",
        "locked_at": "2026-01-02T03:04:05Z",
        "batchscout_version": "0.1.0",
        "answer": given,
    }
    file = folder / "batchscout.lock.json"
    file.write_text(json.dumps(document | changes, indent=2) + "\n")
    return file


@pytest.mark.parametrize("name", FORMATS)
def test_a_lock_gives_what_the_service_gives(
    name: str, tmp_path: Path, asked: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The same bytes from the committed answer, without a call, and from a job."""
    assert main(["export", "--lock", str(lock_file(tmp_path)), "--format", name]) == Exit.OK
    locked = capsysbinary.readouterr().out
    assert asked == []
    url = "http://service:1"
    assert main(["export", "tj_1", "--server", url, "--format", name]) == Exit.OK
    assert capsysbinary.readouterr().out == locked == export(answer(), name).text.encode()
    assert asked == [f"{url}/v1/tuning-jobs/tj_1/recommendation?format=json"]


def test_the_server_may_stand_in_the_environment(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for the other commands that ask one."""
    monkeypatch.setenv(command.SERVER_VARIABLE, "https://named:2")
    assert main(["export", "tj_1", "--format", "hydra"]) == Exit.OK
    assert asked[0].startswith("https://named:2/")
    monkeypatch.setenv(command.SERVER_VARIABLE, "named:2")
    assert main(["export", "tj_1", "--format", "hydra"]) == Exit.USAGE
    assert "write http://" in capsys.readouterr().err


def test_the_text_goes_to_a_file_and_the_notes_to_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file holds the export alone; what its format cannot say is told beside it."""
    out = tmp_path / "args.json"
    lock = str(lock_file(tmp_path))
    assert main(["export", "--lock", lock, "--format", "hf", "--out", str(out)]) == Exit.OK
    assert json.loads(out.read_text())["per_device_train_batch_size"] == 48
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "short_runs" in shown.err
    nowhere = str(tmp_path / "none" / "args.json")
    assert main(["export", "--lock", lock, "--format", "hf", "--out", nowhere]) == Exit.USAGE


def test_a_note_cannot_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of the answer is data, on standard error too."""
    given = answer(warnings=[{"code": "x", "detail": "\x1b[2J\r\nOK"}])
    lock = lock_file(tmp_path, answer=given)
    assert main(["export", "--lock", str(lock), "--format", "hydra"]) == Exit.OK
    assert capsys.readouterr().err == "warning x: \\x1b[2J\\r\\nOK\n"


def test_own_keys_are_for_hydra(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--map` may be repeated; a key that is none is refused."""
    line = ["export", "--lock", str(lock_file(tmp_path)), "--format", "hydra"]
    keys = ["--map", "learning_rate=opt.lr", "--map", "data_parallel_size=+devices"]
    assert main([*line, *keys]) == Exit.OK
    assert capsys.readouterr().out.split()[2:] == ["+devices=1", "opt.lr=0.0314"]
    assert main([*line, "--map", "lr=opt.lr"]) == Exit.USAGE
    assert "micro_batch_size" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*line, "--map", "learning_rate"])
    assert "ROLE=KEY" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "hf"], "either, not both"),
        (["tj_1", "--lock", "LOCK", "--format", "hf"], "either, not both"),
        (["--lock", "LOCK", "--server", "http://x", "--format", "hf"], "leave --server out"),
        (["--lock", "LOCK", "--format", "toml"], "torchtitan"),
        (["--lock", "nowhere.json", "--format", "hf"], "nowhere.json"),
    ],
)
def test_a_command_line_that_has_to_change(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, a sentence, and nothing on standard output."""
    lock = str(lock_file(tmp_path))
    line = [lock if one == "LOCK" else one for one in arguments]
    assert main(["export", *line]) == Exit.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lock_version": 2}, Exit.UNTOLD),
        ({"spec_digest": "sha256:other"}, Exit.USAGE),
        ({"answer": answer() | {"held_fixed": {"optimizer": 3}}}, Exit.USAGE),
    ],
)
def test_a_lock_that_cannot_be_used(
    changes: dict[str, Any], code: Exit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of another version it is not wrong (3); edited by hand it is (2)."""
    lock = lock_file(tmp_path, **changes)
    assert main(["export", "--lock", str(lock), "--format", "yaml"]) == code
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (httpx.Response(404, json=PROBLEM | {"code": "tuning_job_not_found"}), Exit.USAGE),
        (httpx.Response(409, json=PROBLEM | {"code": "not_finished"}), Exit.LATER),
        (httpx.Response(404, json=PROBLEM | {"code": "no_recommendation"}), Exit.UNTOLD),
        (httpx.Response(200, text="<html>"), Exit.UNTOLD),
        (httpx.Response(200, json={"of": "another version"}), Exit.UNTOLD),
        (httpx.Response(500, json=PROBLEM), Exit.UNTOLD),
    ],
)
def test_a_service_without_an_answer(
    reply: httpx.Response,
    code: Exit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each way of having none has its exit code, and the key is never shown."""
    monkeypatch.setenv("BATCHSCOUT_KEY", "bsk_secret")
    monkeypatch.setattr("batchscout.client.Client", answering(lambda _: reply))
    assert main(["export", "tj_1", "--format", "yaml"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "bsk_secret" not in shown.err


def test_every_format_stands_in_the_help() -> None:
    """Whoever asks for help sees all that `--format` takes."""
    (commands,) = (one for one in make_parser()._actions if one.dest == "command")
    shown = " ".join(dict(commands.choices or {})["export"].format_help().split())
    assert all(name in shown for name in FORMATS)


def test_an_export_from_a_lock_loads_no_client(tmp_path: Path) -> None:
    """Offline it needs the standard library alone."""
    line = ["export", "--lock", str(lock_file(tmp_path)), "--format", "yaml"]
    program = (
        f"import sys; from batchscout.__main__ import main; code = main({line!r}); "
        "heavy = {'httpx', 'pydantic', 'torch', 'yaml', 'service'} & set(sys.modules); "
        "sys.exit(code or str(heavy or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert done.stderr.decode().strip() == ""
    assert done.stdout.decode() == export(answer(), "yaml").text


def exported_by_both(status: int, content: bytes) -> list[str]:
    """What the sync and the async client make of a reply."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))

    async def ask() -> str:
        async with AsyncClient("http://service", transport=transport) as client:
            return await client.export("tj_1", "hydra")

    with Client("http://service", transport=transport) as client:
        return [client.export("tj_1", "hydra"), asyncio.run(ask())]


def test_both_clients_give_the_text() -> None:
    """As it came, decoded."""
    text = export(answer(), "yaml").text
    assert exported_by_both(200, text.encode()) == [text, text]


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [(422, json.dumps(PROBLEM).encode(), Refused), (200, b"\xff", UnexpectedAnswer)],
)
def test_a_client_says_why_there_is_no_text(
    status: int, content: bytes, error: type[Exception]
) -> None:
    """A refusal is one, and what is no text is not passed on."""
    with pytest.raises(error):
        exported_by_both(status, content)
