"""Reading a spec strictly."""

import io
from pathlib import Path

import pytest

from batchscout.commands.spec_file import UnreadableSpec, read_spec


def test_a_spec_is_read_word_for_word(tmp_path: Path) -> None:
    """What is in the file is what goes to the service."""
    file = tmp_path / "spec.json"
    file.write_text('{"seed": 7, "name": "\\u00e4"}', encoding="utf-8")
    assert read_spec(str(file)) == {"seed": 7, "name": "ä"}


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe can supply the spec."""
    monkeypatch.setattr("sys.stdin", io.StringIO('{"seed": 1}'))
    assert read_spec("-") == {"seed": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"seed": 1,}', "line 1, column"),
        (b'{"seed": 1, "seed": 2}', "'seed' stands twice"),
        (b'{"target": NaN}', "NaN is not a JSON number"),
        (b"[1, 2]", "no JSON object"),
        (b"\xff\xfe", "not a spec"),
        (b"[" * 100_000, "not a spec"),
    ],
)
def test_what_would_be_lost_in_silence_is_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    """Broken JSON, double keys and impossible numbers are named with where they are."""
    file = tmp_path / "spec.json"
    file.write_bytes(content)
    with pytest.raises(UnreadableSpec, match=words):
        read_spec(str(file))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message says which file cannot be read, and why."""
    with pytest.raises(UnreadableSpec, match=r"absent\.json.*No such file"):
        read_spec(str(tmp_path / "absent.json"))
