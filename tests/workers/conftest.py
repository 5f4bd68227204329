"""Sessions around a child that measures nothing and acts as it is told."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuner.places import Places
from tuner.records import (
    BatchPlan,
    Inspect,
    MemoryTrial,
    Request,
    StudyRun,
    TrainingRun,
    Workload,
)
from workers.devices import LocalDevice
from workers.executor import AttemptId, Update
from workers.launcher import Setup
from workers.processes import descendants
from workers.session import DeviceSession

CPU = LocalDevice(id="cpu", accelerator="cpu", kind="cpu", name="a processor", memory_bytes=2**30)


def workload(act: str = "answer", argument: Any = None) -> Workload:
    """Have the child act."""
    return Workload(
        model={"act": act, "argument": argument},
        dataset={},
        training={},
        metric="validation_loss",
        accelerator="cpu",
        data_seed=0,
    )


class Bench:
    """A session, and requests to it by name.

    Args:
        session: Under test.
        places: Of every request, unless another is given.
    """

    def __init__(self, session: DeviceSession, places: Places) -> None:
        self.session = session
        self.places = places
        self._numbers = itertools.count(1)

    def attempt(self, request: Request, job: str = "job") -> AttemptId:
        """Return a new try at a request."""
        return AttemptId(job_id=job, request_id=request.id, number=next(self._numbers))

    def measure(self, request: Request, job: str = "job") -> Update:
        """Measure a request."""
        return self.session.measure(self.attempt(request, job), request, self.places)

    def inspect(self, act: str = "answer", argument: Any = None, job: str = "job") -> Update:
        """Measure an inspection that acts first."""
        return self.measure(Inspect(id="inspect", workload=workload(act, argument)), job)

    def trial(self, act: str = "answer", argument: Any = None, size: int = 1) -> Update:
        """Measure a memory trial whose limit is 8 samples."""
        request = MemoryTrial(
            id="trial",
            workload=workload(act, argument),
            micro_batch_size=size,
            accumulation=1,
            limit_bytes=8,
        )
        return self.measure(request)

    def facts(self, update: Any) -> dict[str, str]:
        """Read what an inspection tells of its process."""
        return dict(line.split("=", 1) for line in update.result.warnings)

    @property
    def pid(self) -> int:
        """Of the warm child."""
        pid = self.session.slot().child_pid
        assert pid is not None
        return pid


def training_run(act: str = "answer", argument: Any = None, **fields: Any) -> TrainingRun:
    """Ask for a run of 1,000 steps."""
    run = {
        "id": "run",
        "workload": workload(act, argument),
        "plan": BatchPlan(micro_batch_size=8),
        "learning_rate": 0.1,
        "seed": 0,
        "max_steps": 1000,
        "evaluate_every_steps": 100,
        "target": None,
        "device_kind": "cpu",
    }
    return TrainingRun(**(run | fields))


def study_run(act: str = "answer", argument: Any = None, **fields: Any) -> StudyRun:
    """Ask for a run of a study."""
    run = {
        "id": "study",
        "workload": workload(act, argument),
        "global_batch_size": 8,
        "micro_batch_size": 8,
        "learning_rate": 0.1,
        "seed": 0,
        "max_epochs": 10,
        "patience_epochs": 2,
        "device_kind": "cpu",
    }
    return StudyRun(**(run | fields))


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def eventually(holds: Callable[[], Any], within_seconds: float = 20.0) -> Any:
    """Wait until something holds and return it; a test that waits in vain fails."""
    give_up_at = time.monotonic() + within_seconds
    while not (value := holds()):
        assert time.monotonic() < give_up_at, "it never came to hold"
        time.sleep(0.005)
    return value


@pytest.fixture
def fake_setup() -> Setup:
    """What a keeper is started with under test."""
    return Setup(measuring="fake_measuring:FakeMeasuring", search_path=Path(__file__).parent)


@pytest.fixture
def bench(tmp_path: Path, fake_setup: Setup) -> Iterator[Bench]:
    """A session that is closed afterwards and has left no process."""
    session = DeviceSession(CPU, setup=fake_setup, lock_folder=tmp_path / "locks")
    try:
        yield Bench(session, Places(artifacts=tmp_path / "artifacts"))
    finally:
        session.close()
    assert descendants(os.getpid()) == [], "a session left a process behind"
