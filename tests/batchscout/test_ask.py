"""`batchscout tune`, against a service that plays a script."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from batchscout.__main__ import main
from batchscout.exits import Exit
from tests.batchscout.documents import BEST, RECOMMENDATION, job, progress
from tests.batchscout.fake_service import FakeService, serving

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A file with a request."""
    file = tmp_path / "spec.json"
    file.write_text('{"model": {"kind": "builtin"}, "seed": 1}')
    return file


def tune(spec: Path, states: list[dict[str, Any]], *arguments: str, accepts: bool = True) -> int:
    """Run the command against a scripted service."""
    with serving(FakeService(states, accepts=accepts)) as url:
        return main(["tune", str(spec), "--server", url, *arguments])


def test_the_answer_goes_to_stdout_and_progress_to_stderr(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe gets the answer alone; whoever watches sees each stage once."""
    states = [
        job("queued"),
        job("running", progress=progress("race")),
        job("running", progress=progress("race", 0.3)),
        job("running", progress=progress("search", best=BEST)),
        job("succeeded"),
    ]
    assert tune(spec, states) == Exit.OK
    shown = capsys.readouterr()
    assert "learning_rate" in shown.out
    assert "0.0314" in shown.out
    assert shown.err.count("race:") == 1
    assert "best so far: batch 96, learning rate 0.0271, 4.25 s" in shown.err


@pytest.mark.parametrize(
    ("arguments", "path"),
    [([], "/v1/tuning-jobs"), (["--force"], "/v1/tuning-jobs?force=true")],
)
def test_force_asks_for_a_new_measurement(
    spec: Path, arguments: list[str], path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said to the service in the query, and changes no exit code."""
    service = FakeService([job("queued"), job("succeeded")])
    with serving(service) as url:
        assert main(["tune", str(spec), "--server", url, *arguments]) == Exit.OK
    assert service.paths == [path]
    capsys.readouterr()


def test_json_prints_the_job_alone(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json standard output is one JSON document: the whole job."""
    assert tune(spec, [job("queued"), job("succeeded")], "--json") == Exit.OK
    document = json.loads(capsys.readouterr().out)
    assert document["recommendation"] == RECOMMENDATION


@pytest.mark.parametrize(
    ("last", "code", "words"),
    [
        (job("failed"), Exit.NEGATIVE, "at /search_space: low must not exceed high"),
        (job("cancelled"), Exit.UNTOLD, "cancelled"),
        (
            job("succeeded", recommendation=RECOMMENDATION | {"target_reached": False}),
            Exit.NEGATIVE,
            "queued",
        ),
        (
            job("succeeded", recommendation=RECOMMENDATION | {"target_reached": None}),
            Exit.OK,
            "queued",
        ),
    ],
)
def test_the_exit_code_is_the_verdict(
    spec: Path, last: dict[str, Any], code: Exit, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script can tell a failed job, a cancelled one and a missed target from the code."""
    assert tune(spec, [job("queued"), last]) == code
    assert words in capsys.readouterr().err


def test_a_refusal_names_the_field_and_is_a_usage_error(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused spec ends with code 2, the field, what is wrong, and the stable code."""
    assert tune(spec, [job("queued")], accepts=False) == Exit.USAGE
    shown = capsys.readouterr().err
    assert "/search_space" in shown
    assert "low must not exceed high" in shown
    assert "[invalid_spec]" in shown


def test_nobody_answering_is_a_matter_of_time(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With no service at the address the code is 75, which schedulers know as try later."""
    with serving(FakeService([job("queued")])) as url:
        pass  # the port was free a moment ago
    assert main(["tune", str(spec), "--server", url]) == Exit.LATER
    assert url in capsys.readouterr().err


def test_an_address_without_a_scheme_is_a_slip(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told as one, and not taken for a service that is silent."""
    with pytest.raises(SystemExit) as end:
        main(["tune", str(spec), "--server", "127.0.0.1:8321"])
    assert end.value.code == Exit.USAGE
    assert "http://" in capsys.readouterr().err


def test_options_of_a_service_of_our_own_do_not_go_with_a_server(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only the operator of a service can set is refused, not ignored."""
    arguments = ["tune", str(spec), "--server", "http://127.0.0.1:1", "--file-root", "/tmp"]  # noqa: S108 - not used
    assert main(arguments) == Exit.USAGE
    assert "--file-root" in capsys.readouterr().err


def start_tune(spec: Path, url: str) -> subprocess.Popen[str]:
    """Run the command in a process of its own and wait until its job runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchscout", "tune", str(spec), "--server", url],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "race" not in (line := process.stderr.readline()):
        assert line, "it ended before the job ran"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job(spec: Path, number: signal.Signals) -> None:
    """Ctrl-C and a polite kill cancel the job, wait for its end, and tell no verdict."""
    service = FakeService([job("queued"), job("running", progress=progress("race"))])
    with serving(service) as url:
        process = start_tune(spec, url)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == Exit.UNTOLD
    assert service.cancels == 1
    assert "cancelled" in err
    assert out == ""


def test_a_second_interrupt_leaves(spec: Path) -> None:
    """Where the job does not end, the second Ctrl-C does not wait for it."""
    service = FakeService([job("queued"), job("running", progress=progress("race"))])
    service.cancel = lambda: (202, job("cancelling"))  # type: ignore[method-assign]
    with serving(service) as url:
        process = start_tune(spec, url)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "Press Ctrl-C again" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == Exit.UNTOLD
