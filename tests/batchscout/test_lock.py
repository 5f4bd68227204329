"""`batchscout lock`, against a service that plays a script."""

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batchscout import asking
from batchscout.__main__ import main
from batchscout.exits import Exit
from tests.batchscout.check.records import SPEC, answer, write_lock
from tests.batchscout.documents import job
from tests.batchscout.fake_service import FakeService, serving

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec, as the current one."""
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHSCOUT_SERVER", raising=False)
    monkeypatch.setattr(asking, "RESTS_SECONDS", (0.0,))
    return tmp_path


def answered(**changes: Any) -> dict[str, Any]:
    """A job that has an answer."""
    return job("succeeded", recommendation=answer(**changes))


def lock(service: FakeService, *arguments: str) -> int:
    """Lock the spec."""
    with serving(service) as url:
        return main(["lock", "spec.json", "--server", url, *arguments])


def test_the_answer_is_written_word_for_word(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the digests, the job and the way to the spec; what is locked can be checked."""
    assert lock(FakeService([job("queued"), answered()])) == Exit.OK
    file = folder / "batchscout.lock.json"
    document = json.loads(file.read_text())
    assert document["answer"] == answer()
    assert (document["lock_version"], document["spec"], document["job_id"]) == (
        1,
        "spec.json",
        "job-7",
    )
    assert document["locked_at"].endswith("Z")
    assert stat.S_IMODE(file.stat().st_mode) & 0o400
    (folder / "good.yaml").write_text("batch_size: 8\naccumulation: 3\nlearning_rate: 0.03\n")
    arguments = ["--map", "gradient_accumulation_steps=accumulation"]
    assert main(["check", "good.yaml", *arguments]) == Exit.OK
    assert "batchscout.lock.json" in capsys.readouterr().out


def test_an_unchanged_spec_makes_no_call(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even where it is written otherwise; --force measures anew."""
    file = write_lock(folder)
    before = file.read_bytes()
    (folder / "spec.json").write_text(json.dumps(dict(reversed(SPEC.items())), indent=4))
    service = FakeService([job("queued"), answered()])
    assert lock(service) == Exit.OK
    assert (service.paths, file.read_bytes()) == ([], before)
    assert "nothing was asked" in capsys.readouterr().err
    assert lock(service, "--force") == Exit.OK
    assert service.paths == ["/v1/tuning-jobs?force=true"]


def test_a_spec_that_moved_is_found_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its new path is written without asking."""
    file = write_lock(folder)
    (folder / "spec.json").rename(folder / "moved.json")
    assert main(["lock", "moved.json", "--server", "http://127.0.0.1:1"]) == Exit.OK
    assert json.loads(file.read_text())["spec"] == "moved.json"
    capsys.readouterr()


@pytest.mark.parametrize(
    ("states", "code", "word"),
    [
        ([job("queued"), job("failed")], Exit.NEGATIVE, "failed"),
        ([job("queued"), job("cancelled")], Exit.UNTOLD, "cancelled"),
        ([job("running")], Exit.LATER, "job-7 is running"),
        ([answered(spec_digest="sha256:00")], Exit.UNTOLD, "another request"),
        ([answered(memory_curve=None)], Exit.UNTOLD, "memory_curve"),
    ],
)
def test_without_an_answer_the_old_lock_stays(
    folder: Path,
    states: list[dict[str, Any]],
    code: Exit,
    word: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Byte for byte, and it is said why there is no new one."""
    file = write_lock(folder, spec=SPEC | {"seed": 9})
    (folder / "spec.json").write_text(json.dumps(SPEC))
    file.write_text(file.read_text().replace("tj_1", "old").replace(answer()["spec_digest"], "x"))
    before = file.read_bytes()
    assert lock(FakeService(states), "--wait", "0.2s") == code
    assert word in capsys.readouterr().err
    assert file.read_bytes() == before
    assert {one.name for one in folder.iterdir()} == {"spec.json", "batchscout.lock.json"}


def test_a_target_that_no_run_reached_is_negative(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer is locked all the same: its memory and times were measured."""
    assert lock(FakeService([job("queued"), answered(target_reached=False)])) == Exit.NEGATIVE
    assert (folder / "batchscout.lock.json").exists()
    assert "No run" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["<<<<<<< a\n", "{}", '{"lock_version": 7}'])
def test_a_lock_that_is_no_good_is_made_anew(
    folder: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Conflicts, other files and other versions: this is the way out of them."""
    (folder / "batchscout.lock.json").write_text(content)
    assert lock(FakeService([job("queued"), answered()])) == Exit.OK
    assert json.loads((folder / "batchscout.lock.json").read_text())["lock_version"] == 1
    capsys.readouterr()


def test_what_cannot_be_written_is_told_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A folder that is not there costs no measurement."""
    service = FakeService([answered()])
    assert lock(service, "--out", "none/lock.json") == Exit.USAGE
    assert service.paths == []
    assert main(["lock", "none.json"]) == Exit.USAGE
    capsys.readouterr()


def test_options_of_our_own_service_are_not_lost_on_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the environment names a service, a data folder would be ignored: it is refused."""
    monkeypatch.setenv("BATCHSCOUT_SERVER", "http://127.0.0.1:1")
    assert main(["lock", "spec.json", "--data-dir", "data"]) == Exit.USAGE
    assert "BATCHSCOUT_SERVER" in capsys.readouterr().err


def test_an_interrupt_leaves_the_job_and_the_old_lock(folder: Path) -> None:
    """Ctrl-C ends the wait, not the job: the same command finds it again."""
    file = write_lock(folder)
    (folder / "spec.json").write_text(json.dumps(SPEC | {"seed": 2}))
    before = file.read_bytes()
    service = FakeService([job("running")])
    with serving(service) as url:
        child = subprocess.Popen(
            [sys.executable, "-m", "batchscout", "lock", "spec.json", "--server", url],
            cwd=folder,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        said = child.stderr.readline()  # the job is known
        child.send_signal(signal.SIGINT)
        said += child.communicate(timeout=60)[1]
    assert child.returncode == Exit.UNTOLD
    assert "goes on" in said
    assert service.cancels == 0
    assert file.read_bytes() == before
