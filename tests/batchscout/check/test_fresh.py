"""A check that asks a service, because the lock is stale or not there yet."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchscout import asking
from batchscout.__main__ import main
from batchscout.check.digest import digest
from batchscout.exits import Exit
from tests.batchscout.check.records import SPEC, answer, write_lock
from tests.batchscout.documents import PROBLEM, job
from tests.batchscout.fake_service import FakeService, serving

CHANGED = SPEC | {"seed": 2}
GOOD = "batch_size: 8\ngradient_accumulation_steps: 3\nlearning_rate: 0.03\n"
KEY = "bs_secret_4711"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose spec has changed since it was locked; a key is set."""
    write_lock(tmp_path, spec=CHANGED)
    (tmp_path / "good.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("BATCHSCOUT_KEY", KEY)
    monkeypatch.setattr(asking, "RESTS_SECONDS", (0.0,))
    return tmp_path


def answered(**changes: Any) -> dict[str, Any]:
    """A job that has answered the changed spec."""
    fresh = answer(**({"spec_digest": digest(CHANGED)} | changes))
    return job("succeeded", recommendation=fresh)


def check(service: FakeService, *arguments: str) -> int:
    """Check the good config, with a service to ask."""
    with serving(service) as url:
        return main(["check", "good.yaml", "--server", url, *arguments])


def test_a_stale_lock_is_asked_anew(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Judged by the fresh answer, with a warning: the file still holds the old one."""
    before = (folder / "batchscout.lock.json").read_bytes()
    other = answered(learning_rate=0.3, learning_rate_range={"low": 0.2, "high": 0.4})
    service = FakeService([job("queued"), job("running"), other])
    assert check(service) == Exit.NEGATIVE
    shown = capsys.readouterr().out
    assert "job-7" in shown
    assert "0.2 to 0.4" in shown
    assert (folder / "batchscout.lock.json").read_bytes() == before
    assert service.specs == [CHANGED]


def test_fix_writes_the_fresh_lock_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next check needs no service."""
    assert check(FakeService([job("queued"), answered()]), "--fix") == Exit.OK
    written = json.loads((folder / "batchscout.lock.json").read_text())
    assert (written["spec_digest"], written["spec"]) == (digest(CHANGED), "spec.json")
    assert main(["check", "good.yaml", "--offline"]) == Exit.OK
    assert "warning" not in capsys.readouterr().out.rpartition("lock batchscout")[2]


def test_an_unchanged_spec_asks_nobody(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the digest is that of the lock, no call is made."""
    (folder / "spec.json").write_text(json.dumps(SPEC))
    service = FakeService([answered()])
    assert check(service) == Exit.OK
    assert service.paths == []
    capsys.readouterr()


def test_no_wait_has_it_measured_and_comes_back_later(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """75 while the job runs, always under the same key; the answer once it is there."""
    service = FakeService([job("running"), answered()])
    assert check(service, "--no-wait") == Exit.LATER
    assert "job-7" in capsys.readouterr().out
    service.revision = 1
    assert check(service, "--no-wait") == Exit.OK
    assert len(set(service.keys)) == 1
    capsys.readouterr()


def test_a_wait_that_is_too_short_is_75(capsys: pytest.CaptureFixture[str]) -> None:
    """The job goes on, and its id is told."""
    assert check(FakeService([job("running")]), "--wait", "0.2s") == Exit.LATER
    assert "job-7 is running" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("choice", "code", "level"),
    [
        ("fail", Exit.LATER, "untold"),
        ("warn", Exit.OK, "warning"),
        ("cache", Exit.OK, "ok"),
        (None, Exit.OK, "ok"),
    ],
)
def test_a_service_that_is_away_is_the_teams_choice(
    choice: str | None, code: Exit, level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """75, or the old lock with or without a warning."""
    with serving(FakeService([answered()])) as url:
        pass  # the port was free a moment ago
    arguments = [] if choice is None else ["--on-unavailable", choice]
    assert main(["check", "good.yaml", "--server", url, "--json", *arguments]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["lock"]["verdicts"][0]["level"] == level
    assert bool(document["configs"]) is (code is Exit.OK)


def test_without_a_lock_the_spec_is_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a service and a spec are named; else the lock has to be made first."""
    (folder / "batchscout.lock.json").unlink()
    service = FakeService([job("queued"), answered()])
    assert check(service) == Exit.USAGE
    assert service.paths == []
    assert check(service, "--spec", "spec.json") == Exit.OK
    with serving(service) as url:
        pass
    arguments = ["--server", url, "--spec", "spec.json"]
    assert (
        main(["check", "good.yaml", *arguments]) == Exit.LATER
    )  # there is nothing to fall back on
    capsys.readouterr()


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (job("failed"), Exit.NEGATIVE),
        (job("cancelled"), Exit.UNTOLD),
        (answered(spec_digest="sha256:00"), Exit.UNTOLD),
        (job("succeeded", recommendation=None), Exit.OK),  # broken: as if it were away
    ],
)
def test_a_job_without_a_use_says_why(
    last: dict[str, Any], code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed job is negative, a cancelled one or one of another spec tells nothing."""
    assert check(FakeService([job("queued"), last])) == code
    assert "job-7" in capsys.readouterr().out


def test_jobs_that_ended_badly_are_asked_past(capsys: pytest.CaptureFixture[str]) -> None:
    """A repeated request whose job had failed gets the next key, and with it a new job."""

    class Second(FakeService):
        """Its first job has failed long ago."""

        def create(self, spec: Any) -> tuple[int, dict[str, Any]]:
            """Give the failed job for the first key."""
            self.specs.append(spec)
            return (202, job("failed")) if len(self.specs) == 1 else (202, self.now())

    service = Second([answered()])
    assert check(service) == Exit.OK
    assert len(set(service.keys)) == 2
    capsys.readouterr()


class Telltale(FakeService):
    """Quotes the key in whatever it answers.

    Args:
        status: Of its answers.
    """

    def __init__(self, status: int) -> None:
        super().__init__([job("queued")])
        self.status = status

    def create(self, spec: Any) -> tuple[int, dict[str, Any]]:
        """Refuse, quoting the key."""
        return self.status, PROBLEM | {"detail": f"no entry for Bearer {KEY}", "errors": []}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, Exit.USAGE),
        (403, Exit.USAGE),
        (422, Exit.USAGE),
        (429, Exit.LATER),
        (500, Exit.LATER),
        (503, Exit.LATER),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_key_is_never_printed(
    status: int,
    code: Exit,
    arguments: list[str],
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even where a service or a proxy quotes it, on no stream and in no file of a runner."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(folder / "output"))
    assert check(Telltale(status), "--on-unavailable", "fail", *arguments) == code
    shown = capfd.readouterr()
    written = (folder / "summary").read_text() + (folder / "output").read_text()
    assert "no entry" in shown.out
    assert KEY not in shown.out + shown.err + written


@pytest.mark.parametrize("key", ["two words", "ключ"])
def test_a_key_that_cannot_be_sent_is_not_shown(
    key: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is said that it cannot be, and the command line is at fault."""
    monkeypatch.setenv("BATCHSCOUT_KEY", key)
    assert check(FakeService([answered()])) == Exit.USAGE
    shown = capfd.readouterr()
    assert key not in shown.out + shown.err


def test_the_server_of_the_environment_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`BATCHSCOUT_SERVER` stands in for --server; --offline wins over both."""
    service = FakeService([job("queued"), answered()])
    with serving(service) as url:
        monkeypatch.setenv("BATCHSCOUT_SERVER", url)
        assert main(["check", "good.yaml", "--offline"]) == Exit.NEGATIVE
        assert service.paths == []
        assert main(["check", "good.yaml"]) == Exit.OK
    monkeypatch.setenv("BATCHSCOUT_SERVER", "user:geheim@example.org")
    assert main(["check", "good.yaml"]) == Exit.USAGE
    assert "geheim" not in capsys.readouterr().err
