"""`serve`, `doctor`, and the service that `tune` starts for itself."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import httpx
import pytest

from batchscout.__main__ import main, make_parser
from batchscout.commands import operate
from batchscout.exits import Exit
from service.admittance import check_keys
from service.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]


def tune_options(*arguments: str) -> Namespace:
    """Read the options of `tune`."""
    return make_parser().parse_args(["tune", "spec.json", *arguments])


def is_gone(pid: int) -> bool:
    """Whether there is no such process."""
    return not Path(f"/proc/{pid}").exists()


def test_an_embedded_service_answers_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers on a free port of this machine, and leaves neither process nor folder."""
    made: list[dict[str, object]] = []
    real = operate.make_settings

    def noting(given: dict[str, object]) -> object:
        made.append(given)
        return real(given)

    monkeypatch.setattr(operate, "make_settings", noting)
    with operate.embedded(tune_options()) as url:
        ready = httpx.get(f"{url}/readyz", trust_env=False)
        assert ready.json()["controller"]["state"] == "fresh"
        controller = ready.json()["controller"]["pid"]
        assert not is_gone(controller)
    assert is_gone(controller)
    assert not Path(str(made[0]["data_dir"])).exists()


def test_a_service_that_cannot_start_shows_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data folder below a file is an answer in a sentence, not a traceback."""
    (tmp_path / "file").touch()
    spec = tmp_path / "spec.json"
    spec.write_text("{}")
    data_dir = str(tmp_path / "file" / "data")
    assert main(["tune", str(spec), "--data-dir", data_dir]) == Exit.UNTOLD
    assert "cannot be used" in capsys.readouterr().err


def test_settings_that_cannot_be_are_usage_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that cannot be, or an open door to all, is refused with the way out."""
    assert main(["serve", "--port", "99999"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("port: ")
    monkeypatch.setenv("BATCHSCOUT_REQUIRE_KEYS", "false")
    assert main(["serve", "--host", "0.0.0.0", "--port", "0"]) == Exit.USAGE  # noqa: S104 - refused
    assert "listen on 127.0.0.1" in capsys.readouterr().err


def test_nobody_is_served_in_public_without_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A public address is refused until there is a key, a revoked one not counting."""
    data_dir = str(tmp_path / "data")
    serve = ["serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", data_dir]  # noqa: S104 - refused
    assert main(serve) == Exit.NEGATIVE
    assert "batchscout keys create NAME" in capsys.readouterr().err
    assert main(["keys", "create", "ann", "--data-dir", data_dir, "--json"]) == Exit.OK
    key_id = json.loads(capsys.readouterr().out)["id"]
    check_keys(Settings(host="0.0.0.0", data_dir=tmp_path / "data"))  # noqa: S104 - not listened on
    main(["keys", "revoke", key_id, "--data-dir", data_dir])
    assert main(serve) == Exit.NEGATIVE


def test_a_service_of_our_own_is_for_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says of a service for others, `tune` needs no key for its own."""
    monkeypatch.setenv("BATCHSCOUT_HOST", "0.0.0.0")  # noqa: S104 - overruled
    monkeypatch.setenv("BATCHSCOUT_REQUIRE_KEYS", "true")
    with operate.embedded(tune_options()) as url:
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/v1/workers", trust_env=False).status_code == 200


def test_what_is_given_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options of the command line come first, variables fill the rest in."""
    monkeypatch.setenv("BATCHSCOUT_PORT", "1234")
    monkeypatch.setenv("BATCHSCOUT_DATA_DIR", "/nowhere")
    arguments = ["serve", "--data-dir", str(tmp_path), "--file-root", "a", "--file-root", "b"]
    arguments += ["--allow-entrypoints", "lab", "--code-root", "code"]
    options = make_parser().parse_args(arguments)
    settings = operate.make_settings(operate.given_settings(options))
    assert (settings.port, settings.data_dir) == (1234, tmp_path)
    assert settings.file_roots == (Path("a"), Path("b"))
    assert settings.entrypoint_prefixes == ("lab",)
    assert settings.code_root == Path("code")


WITHOUT_SERVER = """
import sys
from batchscout.__main__ import main
sys.modules["pydantic_settings"] = None
sys.exit(main({arguments!r}))
"""


@pytest.mark.parametrize("arguments", [["serve"], ["tune", "-"]])
def test_a_missing_extra_is_told_with_the_line_that_installs_it(arguments: list[str]) -> None:
    """Where only the client is installed, both commands name the exact pip line."""
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_SERVER.format(arguments=arguments)],
        cwd=REPOSITORY,
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == Exit.UNTOLD
    assert "pip install 'batchscout[server,worker]'" in run.stderr
    assert "Traceback" not in run.stderr


def test_doctor_finds_this_machine_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here nothing is a failure, and the machine's processor is among the devices."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    arguments = ["doctor", "--json", "--port", "0", "--data-dir", str(tmp_path)]
    assert main(arguments) == Exit.OK
    findings = {each["topic"]: each for each in json.loads(capsys.readouterr().out)}
    assert findings["device cpu"]["level"] == "ok"
    assert findings["torch"]["level"] == "ok"
    assert {"batchscout", "service", "workers", "tuner", "memory", "data folder"} <= findings.keys()


def test_doctor_fails_with_what_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure ends with code 1, and its line has the way out."""
    (tmp_path / "file").touch()
    data_dir = str(tmp_path / "file" / "data")
    assert main(["doctor", "--port", "0", "--data-dir", data_dir]) == Exit.NEGATIVE
    lines = capsys.readouterr().out.splitlines()
    failing = [number for number, line in enumerate(lines) if line.startswith("fail")]
    assert len(failing) == 1
    assert "--data-dir" in lines[failing[0] + 1]


@pytest.mark.parametrize("arguments", [[], ["dance"], ["tune"], ["serve", "--only", "both"]])
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str]) -> None:
    """What the parser cannot read ends with code 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == Exit.USAGE


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Every exit code is in the help."""
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {code.value} " in shown for code in Exit)


def test_the_version_is_that_of_the_distribution() -> None:
    """`python -m batchscout --version` prints what pip knows."""
    run = subprocess.run(
        [sys.executable, "-m", "batchscout", "--version"],
        cwd=REPOSITORY,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("batchscout 0.")
