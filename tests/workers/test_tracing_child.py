"""The child that traces for a process without torch, around one that acts as it is told."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.conftest import CPU, eventually, is_alive, workload
from tuner.errors import TunerError
from tuner.places import Places
from tuner.records import CardModel, MemoryTrace
from workers.launcher import Setup
from workers.processes import descendants
from workers.session import DeviceSession
from workers.tracing_child import Busy, ChildDied, TookTooLong, TracingChild

Make = Callable[..., TracingChild]
NUMBERS = itertools.count()


def trace(act: str = "answer", argument: Any = None) -> MemoryTrace:
    """Have the child act, then answer a prediction whose parameters are its process id."""
    card = CardModel(name="card", memory_bytes=1, context_bytes=0, device_type="cuda")
    return MemoryTrace(
        id=f"trace-{next(NUMBERS)}",
        workload=workload(act, argument),
        micro_batch_sizes=(1,),
        accumulation=1,
        card=card,
    )


@pytest.fixture
def make(tmp_path: Path, fake_setup: Setup) -> Iterator[Make]:
    """Makes a tracing child that is closed afterwards and has left no process."""
    made: list[TracingChild] = []

    def opened() -> DeviceSession:
        return DeviceSession(CPU, setup=fake_setup, lock_folder=tmp_path / "locks")

    def make(**limits: float) -> TracingChild:
        usual = {"wait_seconds": 20.0, "limit_seconds": 60.0, "idle_seconds": 60.0}
        places = Places(artifacts=tmp_path / "artifacts")
        made.append(TracingChild(places, open_session=opened, **(usual | limits)))
        return made[-1]

    yield make
    for child in made:
        child.close()
    assert descendants(os.getpid()) == []


def pid_of(child: TracingChild, *, keep: bool = True) -> int:
    """The process that made a trace."""
    with child.turn(keep=keep) as run:
        return run(trace()).parameter_bytes


def test_the_child_stays_warm(make: Make) -> None:
    """Two callers are served by one process."""
    child = make()
    assert pid_of(child) == pid_of(child) == child.pid


def test_own_code_gets_a_child_of_its_own(make: Make) -> None:
    """What others have imported is not found again."""
    child = make()
    assert len({pid_of(child), pid_of(child, keep=False), pid_of(child, keep=False)}) == 3


def test_a_fault_of_the_workload_is_its_problem(make: Make) -> None:
    """It keeps its code and pointer, and the next trace is made."""
    child = make()
    with child.turn(keep=True) as run, pytest.raises(TunerError) as caught:
        run(trace("fault", "no"))
    assert (caught.value.problem_code, caught.value.pointer) == ("invalid_workload", "/model")
    assert pid_of(child)


def test_a_child_that_dies_is_replaced(make: Make) -> None:
    """An abort inside of torch costs one answer; the process that asked lives on."""
    child = make()
    with child.turn(keep=True) as run, pytest.raises(ChildDied, match="SIGABRT"):
        run(trace("die", int(signal.SIGABRT)))
    assert pid_of(child)


def test_a_trace_without_end_is_ended(make: Make, tmp_path: Path) -> None:
    """After the limit its process is gone, and the next caller is served."""
    child = make(limit_seconds=1.0)
    pid_of(child)
    spinning = tmp_path / "pid"
    with child.turn(keep=True) as run, pytest.raises(TookTooLong, match="1 s"):
        run(trace("spin", str(spinning)))
    assert not spinning.exists() or not is_alive(int(spinning.read_text()))
    assert make().pid is None
    assert pid_of(child)


def test_who_cannot_wait_longer_is_told(make: Make) -> None:
    """Only one traces at a time; another one gives up after its wait, or when too many wait."""
    child = make(wait_seconds=0.05)
    with (
        child.turn(keep=True),
        pytest.raises(Busy, match=r"0\.05 s"),
        child.turn(keep=True),
    ):
        pass
    assert pid_of(child)


def test_an_idle_child_is_ended(make: Make) -> None:
    """Without work its process goes away, and comes back with the next trace."""
    child = make(idle_seconds=0.05)
    pid = pid_of(child)
    eventually(lambda: not is_alive(pid))
    assert pid_of(child) != pid


def test_closing_ends_what_runs(make: Make, tmp_path: Path) -> None:
    """The caller gets an error at once, and nothing is left behind."""
    child = make()
    spinning = tmp_path / "pid"
    raised: list[Exception] = []

    def ask() -> None:
        with child.turn(keep=True) as run:
            try:
                run(trace("spin", str(spinning)))
            except ChildDied as error:
                raised.append(error)

    caller = threading.Thread(target=ask)
    caller.start()
    pid = int(eventually(lambda: spinning.exists() and spinning.read_text()))
    child.close()
    caller.join(20)
    assert not caller.is_alive()
    assert len(raised) == 1
    assert not is_alive(pid)
    with child.turn(keep=True) as run, pytest.raises(ChildDied, match="stopped"):
        run(trace())
