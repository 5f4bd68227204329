"""One lock per device."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from workers.locks import DeviceLock, default_folder


def test_a_held_lock_is_refused_until_it_is_released(tmp_path: Path) -> None:
    """Two holders of one device never exist; another device is free."""
    first, second = DeviceLock(tmp_path, "GPU-1"), DeviceLock(tmp_path, "GPU-1")
    other = DeviceLock(tmp_path, "GPU-2")
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    assert other.acquire()
    first.release()
    assert second.acquire()
    second.release()
    other.release()


def test_a_process_that_inherited_the_lock_holds_it_on(tmp_path: Path) -> None:
    """The lock is free only once the last process that inherited it is gone."""
    lock, rival = DeviceLock(tmp_path, "GPU-1"), DeviceLock(tmp_path, "GPU-1")
    assert lock.acquire()
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock.descriptor,)
    ) as heir:
        lock.release()
        assert not rival.acquire()
        heir.communicate(b"\n")
    assert rival.acquire()
    rival.release()


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    """Nobody can have a lock file written elsewhere."""
    (tmp_path / "GPU-1.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        DeviceLock(tmp_path, "GPU-1").acquire()


def test_names_of_devices_stay_inside_the_folder(tmp_path: Path) -> None:
    """A name with separators makes a file in the folder, private to the user."""
    lock = DeviceLock(tmp_path / "locks", "../cuda:0")
    assert lock.acquire()
    (made,) = (tmp_path / "locks").iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    lock.release()


def test_the_default_folder_is_this_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies in the runtime folder if there is one, else in the temporary one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_folder() == tmp_path / "batchscout"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert default_folder().name.startswith("batchscout-")
