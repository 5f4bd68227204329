"""What a keeper loads, forks and buries."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.places import Places
from workers.executor import Finished, Lost
from workers.launcher import Child, Gone, Launcher
from workers.messages import Configure, Ping, Pong, Ready
from workers.processes import descendants, has_opened_card
from workers.session import DeviceSession

from .conftest import CPU, Bench, eventually, is_alive


@pytest.fixture
def launcher(fake_setup) -> Iterator[Launcher]:
    """A keeper that is ended afterwards."""
    started = Launcher(fake_setup)
    yield started
    started.close()
    assert descendants(os.getpid()) == []


def _says(launcher: Launcher, child: Child) -> object:
    return eventually(lambda: launcher.wait(child, 1.0))


def test_a_keeper_bears_one_child_after_the_other(launcher: Launcher, tmp_path: Path) -> None:
    """Each child is a process of its own, speaks, and is reported with its exit code."""
    pids = set()
    for number in range(3):
        child = launcher.start_child()
        pids.add(child.pid)
        child.channel.send(Configure(places=Places(artifacts=tmp_path)))
        assert isinstance(_says(launcher, child), Ready)
        child.channel.send(Ping(number=number))
        assert _says(launcher, child) == Pong(number=number)
        os.kill(child.pid, signal.SIGUSR1)
        assert _says(launcher, child) == Gone(code=-signal.SIGUSR1)
    assert len(pids) == 3
    assert launcher.keeper_pid not in pids


def test_children_lead_their_own_session_and_leave_no_core(launcher: Launcher) -> None:
    """Signals to the service's terminal do not reach them, and a crash writes no data out."""
    child = launcher.start_child()
    eventually(lambda: os.getsid(child.pid) == child.pid)
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


def test_a_child_holds_nothing_open_but_its_channel(launcher: Launcher) -> None:
    """Its only sockets are the channel: the keeper's own do not live on in it."""
    child = launcher.start_child()

    def sockets() -> list[str]:
        links = [str(fd.readlink()) for fd in Path(f"/proc/{child.pid}/fd").iterdir()]
        return [link for link in links if link.startswith("socket:")]

    eventually(lambda: len(sockets()) == 1)


def test_a_child_that_is_ended_is_reported(launcher: Launcher) -> None:
    """Ending waits until the process is gone; the next child comes from the same keeper."""
    keeper_pid, child = launcher.keeper_pid, launcher.start_child()
    launcher.end_child(child)
    assert not is_alive(child.pid)
    assert launcher.start_child().pid != child.pid
    assert launcher.keeper_pid == keeper_pid


def test_a_module_that_cannot_be_loaded_before_does_no_harm(launcher: Launcher) -> None:
    """What is worth loading may be missing: the child starts all the same."""
    child = launcher.start_child(["no_such_library", "colorsys"])
    assert is_alive(child.pid)


def test_if_the_driver_was_opened_children_begin_anew(tmp_path: Path, fake_setup) -> None:
    """A child that could not use a card after a fork runs in a bare interpreter, and works."""
    setup = replace(fake_setup, measuring="opening_measuring:FakeMeasuring")
    bench = Bench(DeviceSession(CPU, setup=setup, lock_folder=tmp_path), Places(artifacts=tmp_path))
    assert isinstance(bench.inspect(), Finished)
    assert b'"channel"' in Path(f"/proc/{bench.pid}/cmdline").read_bytes()
    assert isinstance(bench.inspect("die", int(signal.SIGSEGV)), Lost)
    assert isinstance(bench.inspect(), Finished)
    bench.session.close()
    assert descendants(os.getpid()) == []


def test_no_card_is_open_here() -> None:
    """Nothing in this process has initialised a driver."""
    assert not has_opened_card()
