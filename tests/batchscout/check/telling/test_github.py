"""What a GitHub runner is told."""

import io
from pathlib import Path

import pytest

from batchscout.check.configuration import Place
from batchscout.check.holding import Held, Wanted
from batchscout.check.judging import Tolerances
from batchscout.check.run import Outcome, Report, Task
from batchscout.check.telling.github import (
    MAX_SUMMARY_BYTES,
    is_runner,
    write_annotations,
    write_outputs,
    write_summary,
)
from batchscout.check.verdict import Level, Verdict
from batchscout.exits import Exit
from tests.batchscout.check.records import lock


def verdict(level: Level, detail: str = "Too much.", *, line: int | None = 3) -> Verdict:
    """A verdict on a line."""
    place = None if line is None else Place(key="a", line=line, column=5, start=0, end=1)
    return Verdict(code="out_of_memory", level=level, detail=detail, numbers={}, place=place)


def outcome(
    *verdicts: Verdict, file: str = "a.yaml", allows_untold: bool = False, **answer: object
) -> Outcome:
    """What a check of one file found."""
    task = Task(
        configs=(Path(file),),
        wanted=Wanted(lock_file=Path("batchscout.lock.json")),
        tolerances=Tolerances(),
        mapping={},
        allows_untold=allows_untold,
    )
    report = Report(file=file, framework="generic", verdicts=verdicts)
    held = Held(lock=lock(**answer), verdicts=())
    return Outcome(task=task, held=held, reports=(report,), exit_code=Exit.NEGATIVE)


def annotations(found: Outcome) -> list[str]:
    """Every line of the annotations."""
    stream = io.StringIO()
    write_annotations(found, stream)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("level", "allows_untold", "kind"),
    [
        (Level.ERROR, False, "error"),
        (Level.WARNING, False, "warning"),
        (Level.UNTOLD, False, "error"),
        (Level.UNTOLD, True, "warning"),
    ],
)
def test_an_annotation_marks_the_line(level: Level, allows_untold: bool, kind: str) -> None:  # noqa: FBT001 - a parameter of the test
    """File, line and column of what is blamed; an error if it ends the step."""
    lines = annotations(outcome(verdict(level), allows_untold=allows_untold))
    assert lines == [
        f"::{kind} file=a.yaml,line=3,col=5,title=batchscout%3A out_of_memory::Too much."
    ]


def test_what_is_fine_is_not_annotated() -> None:
    """Annotations are for what somebody should look at."""
    assert annotations(outcome(verdict(Level.OK))) == []


def test_text_of_files_stays_where_it_belongs() -> None:
    """Percent signs, line ends, colons and commas cannot leave their property."""
    lines = annotations(
        outcome(verdict(Level.ERROR, "50 %0A\n::error::x"), file="a,line=9::b%\n.yaml")
    )
    place = "file=a%2Cline=9%3A%3Ab%25%0A.yaml,line=3,col=5"
    assert lines == [f"::error {place},title=batchscout%3A out_of_memory::50 %250A\\n::error::x"]


def test_ten_of_a_kind_are_shown_and_the_rest_counted() -> None:
    """A runner drops what is more in silence, so the tenth says how many there are."""
    found = [verdict(Level.ERROR, f"No {i}.") for i in range(13)] + [verdict(Level.WARNING)]
    lines = annotations(outcome(*found))
    assert len(lines) == 11
    assert "4 more errors" in lines[9]
    exactly = [verdict(Level.ERROR, f"No {i}.") for i in range(10)]
    assert annotations(outcome(*exactly))[9].endswith("No 9.")


def test_the_summary_is_a_table_that_text_cannot_break(tmp_path: Path) -> None:
    """Pipes, tags and line ends of a detail stay in their cell."""
    file = tmp_path / "summary"
    file.write_text("before\n")
    write_summary(outcome(verdict(Level.ERROR, "a | b <script>\n| c"), file="[x](y)"), file)
    lines = file.read_text().splitlines()
    assert lines[0] == "before"
    row = next(line for line in lines if "out_of_memory" in line)
    assert row.replace("\\|", "").count("|") == 6
    assert "<" not in row
    assert "[x](y)" not in row


def test_a_summary_never_outgrows_its_limit(tmp_path: Path) -> None:
    """It ends with a sentence where there is no room, and counts what others wrote."""
    file = tmp_path / "summary"
    file.write_text("x" * (MAX_SUMMARY_BYTES - 2000))
    write_summary(outcome(*[verdict(Level.ERROR, "long " * 50)] * 100), file)
    text = file.read_text()
    assert MAX_SUMMARY_BYTES - 2000 < len(text.encode()) <= MAX_SUMMARY_BYTES
    assert "did not fit" in text


def test_outputs_are_one_line_each(tmp_path: Path) -> None:
    """The four numbers, the job and the verdict, after whatever is there without a newline."""
    file = tmp_path / "output"
    file.write_text("a=b")
    write_outputs(outcome(), file, "https://user:secret@example.org/x/")
    assert file.read_text().splitlines() == [
        "a=b",
        "micro-batch-size=8",
        "gradient-accumulation-steps=3",
        "global-batch-size=24",
        "learning-rate=0.03",
        "job-url=https://example.org/x/v1/tuning-jobs/tj_1",
        "matched=false",
    ]


def test_an_untuned_rate_is_an_empty_output(tmp_path: Path) -> None:
    """No number is invented."""
    write_outputs(outcome(learning_rate=None), tmp_path / "output", None)
    assert "learning-rate=\n" in (tmp_path / "output").read_text()
    assert "job-url=\n" in (tmp_path / "output").read_text()


def test_only_a_runner_is_spoken_to() -> None:
    """By its own variable."""
    assert is_runner({"GITHUB_ACTIONS": "true"})
    assert not is_runner({"CI": "true"})
