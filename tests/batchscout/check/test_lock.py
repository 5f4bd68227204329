"""The lock file, sound and in every way unsound."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchscout.check.lock import BadLock, read_lock, relative_spec
from batchscout.check.measured import UnreadableAnswer
from tests.batchscout.check.records import answer, lock, write_lock


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    """Every field, and the answer word for word, with a newline at the end."""
    file = write_lock(tmp_path)
    assert read_lock(file) == lock()
    assert file.read_text().endswith("}\n")
    assert json.loads(file.read_text())["answer"] == answer()


def test_fields_that_a_newer_service_adds_are_kept(tmp_path: Path) -> None:
    """They are no reason to refuse, and stay in the file."""
    file = write_lock(tmp_path, something_new=[1, {"a": None}])
    assert read_lock(file).answer["something_new"] == [1, {"a": None}]


def change(file: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the JSON of a lock."""
    document = json.loads(file.read_text())
    edit(document)
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("edit", "untold", "word"),
    [
        (lambda d: d.update(lock_version=2), True, "version 2"),
        (lambda d: d.update(lock_version="1"), False, "lock_version"),
        (lambda d: d.pop("lock_version"), False, "lock_version"),
        (lambda d: d.pop("job_id"), False, "job_id"),
        (lambda d: d.update(spec=3), False, "spec"),
        (lambda d: d.update(spec_digest="sha256:00"), False, "edited by hand"),
        (lambda d: d.update(fingerprint="sha256:00"), False, "edited by hand"),
        (lambda d: d["answer"].update(global_batch_size=25), False, "edited by hand"),
        (lambda d: d["answer"].update(max_micro_batch_size=7), False, "edited by hand"),
        (lambda d: d["answer"].pop("memory_curve"), True, "memory_curve"),
        (lambda d: d["answer"].update(micro_batch_size="8"), True, "micro_batch_size"),
        (lambda d: d["answer"].update(micro_batch_size=True), True, "micro_batch_size"),
        (lambda d: d["answer"].update(learning_rate=-1.0), True, "learning_rate"),
        (lambda d: d["answer"].update(learning_rate=1e999), False, "not a JSON number"),
        (lambda d: d["answer"]["time_model"].pop("step_seconds"), True, "step_seconds"),
        (lambda d: d["answer"].update(device=None), True, "device"),
        (lambda d: d["answer"].update(memory_curve=[3]), True, "memory_curve"),
        (
            lambda d: d["answer"]["memory_curve"].append(d["answer"]["memory_curve"][0]),
            True,
            "twice",
        ),
        (lambda d: d.update(answer=None), True, "answer"),
    ],
)
def test_a_lock_that_is_not_ours_is_told_apart_from_a_broken_one(
    tmp_path: Path,
    edit: Callable[[dict[str, Any]], object],
    untold: bool,  # noqa: FBT001 - a parameter of the test
    word: str,
) -> None:
    """Another version cannot be told; what was edited or is no lock has to change."""
    file = write_lock(tmp_path)
    change(file, edit)
    with pytest.raises(BadLock, match=r"batchscout lock SPEC\.json|not a JSON number") as refusal:
        read_lock(file)
    assert refusal.value.untold is untold
    assert word in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        (b'{\n<<<<<<< HEAD\n "a": 1\n=======\n "a": 2\n>>>>>>> b\n}\n', 2, "conflict"),
        (b'{\n "a": \n}', 3, "line 3"),
        (b'{"lock_version": 1, "lock_version": 1}', None, "twice"),
        (b'{"lock_version": NaN}', None, "NaN"),
        (b"[]", None, "no object"),
        (b"", 1, "not JSON"),
        (b"\xff\xfe", None, "cannot be read"),
        (b"[" * 100_000, None, "no lock file"),
    ],
)
def test_what_is_no_json_of_ours_says_where_and_how_to_go_on(
    tmp_path: Path, content: bytes, line: int | None, word: str
) -> None:
    """Conflict markers come before any words of a parser."""
    file = tmp_path / "batchscout.lock.json"
    file.write_bytes(content)
    with pytest.raises(BadLock, match=word) as refusal:
        read_lock(file)
    assert (refusal.value.line, refusal.value.untold) == (line, False)


def test_a_missing_lock_names_the_command_that_makes_it(tmp_path: Path) -> None:
    """With the place where it is missing."""
    with pytest.raises(BadLock, match=r"batchscout lock SPEC\.json --out") as refusal:
        read_lock(tmp_path / "batchscout.lock.json")
    assert refusal.value.missing


def test_a_folder_and_a_giant_are_no_lock(tmp_path: Path) -> None:
    """Neither is read."""
    giant = tmp_path / "giant.json"
    giant.write_text(" " * (5 * 2**20))
    for file in (tmp_path, giant):
        with pytest.raises(BadLock):
            read_lock(file)


def test_an_answer_to_another_spec_makes_no_lock() -> None:
    """What is locked is what was asked."""
    with pytest.raises(UnreadableAnswer, match="another request"):
        lock(spec_digest="sha256:00")


def test_the_way_to_the_spec_is_from_the_lock(tmp_path: Path) -> None:
    """It holds wherever the repository lies, with slashes."""
    spec, file = tmp_path / "specs" / "a.json", tmp_path / "locks" / "b.json"
    assert relative_spec(spec, file) == "../specs/a.json"
