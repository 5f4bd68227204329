"""The whole command, offline: what it prints and which code it ends with."""

import json
from pathlib import Path

import pytest

from batchscout.__main__ import main
from batchscout.check.__main__ import main as alone
from batchscout.exits import Exit
from tests.batchscout.check.records import SPEC, write_lock

GOOD = "batch_size: 8\ngradient_accumulation_steps: 3\nlearning_rate: 0.03\n"
WEAK = GOOD.replace("0.03", "0.09")
HUGE = GOOD.replace("8", "400")
OPEN = GOOD.replace("0.03", "${lr}")
BROKEN = GOOD + "batch_size: 9\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lock and configs of every kind, as the current one."""
    write_lock(tmp_path)
    texts = {"good": GOOD, "weak": WEAK, "huge": HUGE, "open": OPEN, "broken": BROKEN}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "BATCHSCOUT_SERVER", "BATCHSCOUT_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good.yaml"], Exit.OK),
        (["weak.yaml"], Exit.OK),
        (["huge.yaml"], Exit.NEGATIVE),
        (["open.yaml"], Exit.UNTOLD),
        (["open.yaml", "--allow-untold"], Exit.OK),
        (["broken.yaml"], Exit.USAGE),
        (["none.yaml"], Exit.USAGE),
        (["good.yaml", "open.yaml"], Exit.UNTOLD),
        (["huge.yaml", "open.yaml"], Exit.NEGATIVE),
        (["huge.yaml", "open.yaml", "broken.yaml"], Exit.USAGE),
        (["good.yaml", "--data-parallel-size", "2"], Exit.UNTOLD),
        (["good.yaml", "--card", "a PROCESSOR "], Exit.OK),
        (["good.yaml", "--card", "H100"], Exit.UNTOLD),
        (["weak.yaml", "--learning-rate-tolerance", "1.5"], Exit.NEGATIVE),
        (["weak.yaml", "--learning-rate-tolerance", "0.5"], Exit.USAGE),
        (["good.yaml", "--spec", "none.json"], Exit.UNTOLD),
        (["good.yaml", "--spec", "good.yaml"], Exit.USAGE),
        (["good.yaml", "--lock", "none.json"], Exit.USAGE),
        (["good.yaml", "--map", "learning_rate=lr"], Exit.USAGE),
        (["good.yaml", "--map", "learning_rate=a", "--map", "learning_rate=b"], Exit.USAGE),
    ],
)
def test_the_worst_verdict_is_the_exit_code(
    arguments: list[str], code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 before 1 before 3 before 0, the same by both ways in."""
    assert main(["check", "--offline", *arguments]) == code
    first = capsys.readouterr()
    assert alone(["--offline", *arguments]) == code
    assert capsys.readouterr() == first
    assert first.out + first.err


def test_a_changed_spec_is_negative_without_a_service(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lock answers another request, and the command to run is named."""
    (folder / "spec.json").write_text(json.dumps(SPEC | {"seed": 2}))
    assert main(["check", "good.yaml"]) == Exit.NEGATIVE
    assert "batchscout lock spec.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"evidence": "proxy"}, "proxy"),
        ({"evidence": "throughput_only"}, "throughput_only"),
        ({"target_reached": False}, "No run"),
    ],
)
def test_weak_evidence_is_a_warning(
    folder: Path, changes: dict[str, object], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and changes no exit code."""
    write_lock(folder, **changes)
    assert main(["check", "good.yaml"]) == Exit.OK
    assert word in capsys.readouterr().out


def test_fix_writes_the_answer_and_judges_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Afterwards nothing negative remains, and every other byte is as it was."""
    file = folder / "huge.yaml"
    file.write_text("# mine\r\n" + HUGE.replace("\n", "  # a reason\r\n"), newline="")
    assert main(["check", "huge.yaml", "--fix"]) == Exit.OK
    expected = "# mine\r\n" + GOOD.replace("\n", "  # a reason\r\n")
    assert file.read_bytes() == expected.encode()
    assert "batch_size: 400 -> 8" in capsys.readouterr().out
    assert main(["check", "huge.yaml", "--fix"]) == Exit.OK
    assert "wrote" not in capsys.readouterr().out


def test_fix_leaves_what_it_cannot_write_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch that the answer's does not divide among the devices stays as it is."""
    assert main(["check", "huge.yaml", "--fix", "--data-parallel-size", "7"]) == Exit.NEGATIVE
    assert (folder / "huge.yaml").read_text() == HUGE
    assert "not written" in capsys.readouterr().out


def test_fix_writes_all_or_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rate is not written beside a batch that has to be mended by hand."""
    text = HUGE.replace("batch_size: 400", "batch_size: &shared 400\nagain: *shared")
    (folder / "huge.yaml").write_text(text)
    assert main(["check", "huge.yaml", "--fix"]) == Exit.NEGATIVE
    assert (folder / "huge.yaml").read_text() == text
    told = capsys.readouterr().out
    assert "not written: all of it" in told
    assert "write 8 by hand" in told


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code, the answer's numbers, and the numbers of every verdict."""
    assert main(["check", "huge.yaml", "--json"]) == Exit.NEGATIVE
    document = json.loads(capsys.readouterr().out)
    assert (document["check_version"], document["exit_code"], document["matched"]) == (1, 1, False)
    assert document["answer"]["global_batch_size"] == 24
    codes = {one["code"]: one for one in document["configs"][0]["verdicts"]}
    assert set(codes) == {"out_of_memory", "batch_arithmetic", "learning_rate", "slow_down"}
    assert codes["out_of_memory"]["numbers"]["available_bytes"] == 10_000
    assert codes["out_of_memory"]["place"] == {"key": "batch_size", "line": 1, "column": 13}


def test_nothing_that_is_printed_commands_a_runner(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of files, cards, keys and options are hostile, and no line of ours begins with ::."""
    evil = "x\n::error::owned\r##[error]owned\x1b[2J"
    write_lock(folder, device={"kind": "cpu", "name": evil, "memory_bytes": 1})
    (folder / f"{evil.replace('/', '')}.yaml").write_text(GOOD.replace("batch_size", f"a\n{evil}"))
    for arguments in (
        [f"{evil}.yaml"],
        [f"{evil}.yaml", "--json"],
        ["good.yaml", "--card", evil],
        ["good.yaml", "--lock", evil],
        ["good.yaml", "--map", f"micro_batch_size={evil}"],
        ["good.yaml", "--spec", evil],
    ):
        main(["check", "--offline", *arguments])
    for arguments in (
        ["good.yaml", f"--{evil}"],
        ["good.yaml", "--map", evil],
        [evil, "--wait", evil],
    ):
        with pytest.raises(SystemExit):
            main(["check", *arguments])
    shown = capfd.readouterr()
    assert "owned" in shown.out
    assert "owned" in shown.err
    lines = (shown.out + shown.err).replace("\r", "\n").split("\n")
    assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert "\x1b" not in shown.out + shown.err


@pytest.mark.parametrize("text", ["ten", "-1m", "1d", "m", "1e9999"])
def test_a_duration_is_a_number_and_a_unit(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is a slip."""
    with pytest.raises(SystemExit) as end:
        main(["check", "good.yaml", f"--wait={text}"])
    assert end.value.code == Exit.USAGE
    assert text in capsys.readouterr().err


def test_ways_to_wait_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Who is offline waits for nothing."""
    with pytest.raises(SystemExit) as end:
        main(["check", "good.yaml", "--offline", "--no-wait"])
    assert end.value.code == Exit.USAGE
    capsys.readouterr()
