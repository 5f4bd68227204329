"""The questions of `batchscout doctor`, each with a good and a bad machine."""

import socket
from pathlib import Path

import pytest

from batchscout import checkup
from batchscout.checkup import Level


def test_an_old_python_is_a_failure() -> None:
    """Below 3.11 nothing runs, and the report says what to install."""
    assert checkup.python((3, 10, 9)).level is Level.FAIL
    assert checkup.python((3, 11, 0)).level is Level.OK


def test_an_extra_names_what_is_missing() -> None:
    """A missing requirement is named with the line that installs it; others do not count."""
    lines = ['httpx>=0.28 ; extra == "server"', 'no-such-thing>=1 ; extra == "worker"']
    assert checkup.installed("server", "serve", lines).level is Level.OK
    finding = checkup.installed("worker", "measure", lines)
    assert finding.level is Level.WARN
    assert "no-such-thing" in finding.detail
    assert "cannot measure" in finding.detail
    assert finding.way_out == "pip install 'batchscout[worker]'"


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """A program in place of Python; the test writes what it does."""
    file = tmp_path / "python"
    file.touch(mode=0o755)
    return file


@pytest.mark.parametrize(
    ("script", "num_cards", "level", "words"),
    [
        ("echo '[\"2.13.0\", 1, 8]'", 1, Level.OK, "2.13.0, 1 cards, 8 threads"),
        ("echo '[\"2.13.0\", 0, 8]'", 2, Level.WARN, "can use 0 of 2 cards"),
        ("echo 'ImportError: no libcuda' >&2; exit 1", 0, Level.WARN, "no libcuda"),
        ("echo hello", 0, Level.FAIL, "did not answer"),
    ],
)
def test_torch_is_asked_in_a_child(
    interpreter: Path, script: str, num_cards: int, level: Level, words: str
) -> None:
    """Whatever torch does to its process, the report goes on and says it."""
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    finding = checkup.torch(num_cards, str(interpreter))
    assert (finding.level, words in finding.detail) == (level, True)


@pytest.mark.parametrize(
    ("content", "level"),
    [("MemAvailable: 8000000 kB\n", Level.OK), ("MemAvailable: 1000 kB\n", Level.WARN)],
)
def test_little_memory_is_a_warning(tmp_path: Path, content: str, level: Level) -> None:
    """Below a gibibyte the report warns; a system without this file is only unknown."""
    file = tmp_path / "meminfo"
    assert checkup.memory(file).level is Level.WARN
    file.write_text(f"MemTotal: 9000000 kB\n{content}")
    assert checkup.memory(file).level is level


def test_the_data_folder_is_tried_and_left_alone(tmp_path: Path) -> None:
    """A folder that does not exist yet is judged by its parent, and nothing is made."""
    folder = tmp_path / "deep" / "data"
    assert checkup.data_folder(folder).level in {Level.OK, Level.WARN}
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_cannot_be_is_a_failure(tmp_path: Path) -> None:
    """Below a file there can be no folder; the report names the option to change."""
    (tmp_path / "file").touch()
    finding = checkup.data_folder(tmp_path / "file" / "data")
    assert finding.level is Level.FAIL
    assert "--data-dir" in finding.way_out


def test_a_taken_port_is_a_warning() -> None:
    """A port that somebody listens on is told, a free one is fine."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        assert checkup.port("127.0.0.1", number).level is Level.WARN
    assert checkup.port("127.0.0.1", number).level is Level.OK


def test_an_import_path_of_the_caller_is_a_warning() -> None:
    """PYTHONPATH is worth a line where it is set, and none where it is not."""
    finding = checkup.search_path("/some/folder")
    assert finding is not None
    assert finding.level is Level.WARN
    assert checkup.search_path(None) is None
