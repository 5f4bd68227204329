"""What the local executor does beyond the contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tuner.places import Places
from tuner.records import Inspect
from workers.executor import AttemptId
from workers.executors.local import LocalExecutor
from workers.locks import DeviceLock

from .conftest import CPU, eventually, is_alive, workload

TWO = (CPU, replace(CPU, id="cpu-2"))


def _run(executor: LocalExecutor, places: Places, job: str, number: int = 1) -> str:
    """Run one request and return the device that served it."""
    attempt = AttemptId(job_id=job, request_id="i", number=number)
    executor.submit(attempt, Inspect(id="i", workload=workload()), places)
    (device,) = [slot.id for slot in executor.devices() if slot.busy_with == attempt]
    assert eventually(lambda: executor.updates(0.5))
    return device


def test_a_job_returns_to_the_device_that_served_it(tmp_path: Path, fake_setup) -> None:
    """Two jobs that take turns keep a warm child each."""
    executor = LocalExecutor(TWO, lock_folder=tmp_path, setup=fake_setup)
    places = Places(artifacts=tmp_path)
    first = [_run(executor, places, "one", number) for number in (1, 2)]
    other = _run(executor, places, "two")
    again = _run(executor, places, "one", 3)
    executor.close()
    assert set(first) == {again}
    assert other != again


def test_an_idle_child_is_ended_and_its_device_let_go(tmp_path: Path, fake_setup) -> None:
    """After its rest a device holds no process, no memory and no lock."""
    executor = LocalExecutor([CPU], lock_folder=tmp_path, setup=fake_setup, rest_after_seconds=0.0)
    attempt = AttemptId(job_id="j", request_id="i", number=1)
    executor.submit(attempt, Inspect(id="i", workload=workload()), Places(artifacts=tmp_path))
    assert eventually(lambda: executor.updates(0.5))
    pid = executor.devices()[0].child_pid
    assert pid is not None
    assert executor.updates(0.0) == ()
    assert not is_alive(pid)
    assert executor.devices()[0].child_pid is None
    lock = DeviceLock(tmp_path, "cpu")
    assert lock.acquire()
    lock.release()
    executor.close()


def test_without_a_list_the_machine_s_devices_are_used(tmp_path: Path) -> None:
    """The processor is always among them, and nothing is started before it is needed."""
    executor = LocalExecutor(lock_folder=tmp_path)
    slots = executor.devices()
    executor.close()
    assert slots[0].id == "cpu"
    assert all(slot.child_pid is None for slot in slots)
