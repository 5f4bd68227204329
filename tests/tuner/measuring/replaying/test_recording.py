"""Recordings in files: whole, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tuner.measuring.replaying.steps import recorded
from tuner.measuring.replaying.recording import load, numbered, save


def test_a_recording_comes_back_as_it_was(tmp_path: Path) -> None:
    """What was saved is loaded; the same content has the same name."""
    name = save(tmp_path / "made", recorded(3))
    assert load(tmp_path / "made", name) == recorded(3)
    assert save(tmp_path / "made", recorded(3)) == name
    assert save(tmp_path / "made", recorded(4)) != name


@pytest.mark.parametrize("name", ["../other.events", "x", "0" * 64 + ".events"])
def test_what_is_not_there_is_not_loaded(tmp_path: Path, name: str) -> None:
    """A path is no name, and a file that is missing is no recording."""
    (tmp_path.parent / "other.events").write_bytes(b"x")
    assert load(tmp_path, name) is None


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"", lambda b: b[::-1]])
def test_a_damaged_file_is_no_recording(tmp_path: Path, damage) -> None:
    """A file that was cut or changed is not believed."""
    name = save(tmp_path, recorded(3))
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))
    assert load(tmp_path, name) is None


def test_a_file_under_another_name_is_no_recording(tmp_path: Path) -> None:
    """The name is the digest of the content, and is checked."""
    one, other = save(tmp_path, recorded(3)), save(tmp_path, recorded(4))
    (tmp_path / one).replace(tmp_path / other)
    assert load(tmp_path, other) is None


def test_blocks_are_numbered_by_birth() -> None:
    """Numbers that a device would not tell are gone, and the requests are the same."""
    events = recorded(3).events
    renumbered = numbered(events)
    assert [events.sizes_bytes[b] for b in events.order] == [
        renumbered.sizes_bytes[b] for b in renumbered.order
    ]
    assert list(dict.fromkeys(renumbered.order)) == list(range(len(renumbered.sizes_bytes)))
