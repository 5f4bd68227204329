"""What every executor promises, tried on each one of the registry."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import workers
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
from workers.executor import (
    AttemptFailed,
    AttemptId,
    Executor,
    Finished,
    Lost,
    NoFreeDevice,
    Update,
)
from workers.executors import EXECUTORS, make_executor
from workers.launcher import Setup
from workers.processes import descendants

ROOT = Path(workers.__file__).parent.parent
FAKE = Setup(measuring="fake_measuring:FakeMeasuring", search_path=ROOT / "tests" / "workers")
DEVICES = tuple(
    LocalDevice(id=name, accelerator="cpu", kind="cpu", name=name, memory_bytes=2**30)
    for name in ("cpu", "cpu-2")
)
OPTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "local": lambda folder: {"devices": DEVICES, "lock_folder": folder, "setup": FAKE},
}
"""How to make each executor of the registry with two processors that measure nothing."""


class Driver:
    """Drives an executor the way a controller does.

    Args:
        executor: Under test.
        folder: For what its children leave.
    """

    def __init__(self, executor: Executor, folder: Path) -> None:
        self.executor = executor
        self.folder = folder
        self._numbers = itertools.count(1)

    def submit(self, act: str = "answer", argument: Any = None, **how: Any) -> AttemptId:
        """Submit a request that makes its child act."""
        number = next(self._numbers)
        request = _request(how.pop("kind", Inspect), f"request-{number}", act, argument, **how)
        attempt = AttemptId(job_id="job", request_id=request.id, number=1)
        self.executor.submit(attempt, request, Places(artifacts=self.folder))
        return attempt

    def collect(self, count: int) -> dict[AttemptId, Update]:
        """Wait for so many updates; none may come twice, and no further one may come."""
        got: dict[AttemptId, Update] = {}
        give_up_at = time.monotonic() + 30.0
        while len(got) < count:
            assert time.monotonic() < give_up_at, f"{len(got)} of {count} updates came"
            for update in self.executor.updates(0.2):
                assert update.attempt not in got
                got[update.attempt] = update
        assert self.executor.updates(0.02) == ()
        return got

    def run(self, act: str = "answer", argument: Any = None, **how: Any) -> Update:
        """Submit one request and return its one update."""
        attempt = self.submit(act, argument, **how)
        return self.collect(1)[attempt]

    def spin(self, act: str = "spin") -> tuple[AttemptId, int]:
        """Submit a request that never ends, and return the id of its process once it runs."""
        mark = self.folder / f"pid-{next(self._numbers)}"
        attempt = self.submit(act, str(mark))
        return attempt, int(_eventually(lambda: mark.exists() and mark.read_text()))


def _request(kind: type, name: str, act: str, argument: Any, **fields: Any) -> Request:
    workload = Workload(
        model={"act": act, "argument": argument},
        dataset={},
        training={},
        metric="validation_loss",
        accelerator=fields.pop("accelerator", "cpu"),
        data_seed=0,
    )
    defaults: dict[type, dict[str, Any]] = {
        Inspect: {},
        MemoryTrial: {"micro_batch_size": 1, "accumulation": 1, "limit_bytes": 8},
        TrainingRun: {
            "plan": BatchPlan(micro_batch_size=8),
            "learning_rate": 0.1,
            "seed": 0,
            "max_steps": 1000,
            "evaluate_every_steps": 100,
            "target": None,
            "device_kind": "cpu",
        },
        StudyRun: {
            "global_batch_size": 8,
            "micro_batch_size": 8,
            "learning_rate": 0.1,
            "seed": 0,
            "max_epochs": 1,
            "patience_epochs": 1,
            "device_kind": "cpu",
        },
    }
    request: Request = kind(id=name, workload=workload, **(defaults[kind] | fields))
    return request


def _eventually(holds: Callable[[], Any]) -> Any:
    give_up_at = time.monotonic() + 20.0
    while not (value := holds()):
        assert time.monotonic() < give_up_at, "it never came to hold"
        time.sleep(0.005)
    return value


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture(params=EXECUTORS)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    """Each executor of the registry; closing it must leave no process."""
    before = set(descendants(os.getpid()))
    executor = make_executor(request.param, **OPTIONS[request.param](tmp_path / "locks"))
    yield Driver(executor, tmp_path)
    executor.close()
    assert set(descendants(os.getpid())) <= before


def test_a_request_is_answered(driver: Driver) -> None:
    """One attempt, one result, and the device is free again."""
    update = driver.run()
    assert isinstance(update, Finished)
    assert all(slot.busy_with is None for slot in driver.executor.devices())


def test_a_fault_of_the_workload_is_told_with_the_user_s_traceback(driver: Driver) -> None:
    """User code that raises ends its attempt for good, and the next one works."""
    update = driver.run("fault", "bad shape")
    assert isinstance(update, AttemptFailed)
    assert "ValueError: bad shape" in (update.problem.traceback or "")
    assert isinstance(driver.run(), Finished)


@pytest.mark.parametrize(
    ("act", "argument"),
    [
        ("die", int(signal.SIGKILL)),
        ("die", int(signal.SIGSEGV)),
        ("exit", 1),
        ("exit", 0),
        ("leave", 0),
        ("leave", 2),
        ("raise", "a bug"),
    ],
)
def test_a_child_that_dies_loses_its_attempt_alone(driver: Driver, act: str, argument) -> None:
    """However it dies, the attempt is lost once, with a reason, and the next one works."""
    update = driver.run(act, argument)
    assert isinstance(update, Lost)
    assert update.cause == "crashed"
    assert update.detail
    assert isinstance(driver.run(), Finished)


def test_a_child_killed_from_outside_loses_its_attempt_alone(driver: Driver) -> None:
    """`kill -9` of a busy child is noticed, and the next request works."""
    attempt, pid = driver.spin()
    os.kill(pid, signal.SIGKILL)
    update = driver.collect(1)[attempt]
    assert isinstance(update, Lost)
    assert update.cause == "crashed"
    assert isinstance(driver.run(), Finished)


@pytest.mark.parametrize("act", ["spin", "ignore_sigterm", "hold_interpreter"])
def test_cancel_frees_the_device(driver: Driver, act: str) -> None:
    """A cancelled attempt is withdrawn once its process is gone, even one that is deaf."""
    attempt, pid = driver.spin(act)
    driver.executor.cancel(attempt)
    driver.executor.cancel(attempt)
    update = driver.collect(1)[attempt]
    assert isinstance(update, Lost)
    assert update.cause == "withdrawn"
    assert not _is_alive(pid)
    assert isinstance(driver.run(), Finished)


def test_an_attempt_cancelled_at_once_has_one_update(driver: Driver) -> None:
    """A cancel that comes before the child is there is not lost."""
    attempt = driver.submit("sleep", 60)
    driver.executor.cancel(attempt)
    update = driver.collect(1)[attempt]
    assert isinstance(update, Lost)
    assert update.cause == "withdrawn"


def test_cancel_and_tighten_of_what_has_ended_do_nothing(driver: Driver) -> None:
    """Late news are no error and bring no second update."""
    attempt = driver.submit()
    driver.collect(1)
    driver.executor.cancel(attempt)
    driver.executor.tighten(attempt, 5)
    assert driver.executor.updates(0.05) == ()
    assert isinstance(driver.run(), Finished)


def test_a_tightened_limit_reaches_a_running_training(driver: Driver) -> None:
    """The run ends at the limit that was told while it ran, and says so."""
    attempt = driver.submit("await_limit", kind=TrainingRun)
    updates: tuple[Update, ...] = ()

    def answered() -> bool:
        nonlocal updates
        driver.executor.tighten(attempt, 17)
        updates = driver.executor.updates(0.01)
        return bool(updates)

    _eventually(answered)
    (update,) = updates
    assert isinstance(update, Finished)
    assert update.result.limit_applied == 17


def test_out_of_memory_is_an_answer_and_normal_work_follows(driver: Driver) -> None:
    """A trial over the limit, one that the kernel killed, and then a run that finishes."""
    over = driver.run(kind=MemoryTrial, micro_batch_size=9)
    killed = driver.run("die", int(signal.SIGKILL), kind=MemoryTrial)
    for update in (over, killed):
        assert isinstance(update, Finished)
        assert update.result.out_of_memory
    run = driver.run(kind=TrainingRun)
    assert isinstance(run, Finished)
    assert run.result.steps == 1000


def test_two_devices_measure_at_once_and_a_third_attempt_is_refused(driver: Driver) -> None:
    """Each device runs one attempt; a full executor says so and takes the next one later."""
    running = [driver.spin()[0] for _ in DEVICES]
    assert {slot.busy_with for slot in driver.executor.devices()} == set(running)
    with pytest.raises(NoFreeDevice):
        driver.submit()
    for attempt in running:
        driver.executor.cancel(attempt)
    assert set(driver.collect(2)) == set(running)
    assert isinstance(driver.run(), Finished)


@pytest.mark.parametrize(
    "how",
    [
        {"accelerator": "cuda"},
        {"kind": TrainingRun, "device_kind": "cpu:other"},
        {"kind": StudyRun, "device_kind": "cpu:other"},
    ],
)
def test_a_request_without_a_fitting_device_is_refused(driver: Driver, how) -> None:
    """Nothing runs on another accelerator, and no step on another kind of device."""
    with pytest.raises(NoFreeDevice):
        driver.submit(**how)
    assert driver.executor.updates(0.02) == ()


def test_many_attempts_have_one_update_each(driver: Driver) -> None:
    """Successes, faults and deaths in a row: as many updates as attempts."""
    acts = [("answer", None), ("fault", "x"), ("exit", 1), ("die", 11), ("answer", None)] * 4
    submitted: set[AttemptId] = set()
    got: list[Update] = []
    for act, argument in acts:
        while True:
            try:
                submitted.add(driver.submit(act, argument))
                break
            except NoFreeDevice:
                got += driver.executor.updates(1.0)
    got += driver.collect(len(submitted) - len(got)).values()
    assert {update.attempt for update in got} == submitted
    assert len(got) == len(acts)
    kinds = [type(update).__name__ for update in got]
    assert (kinds.count("Finished"), kinds.count("AttemptFailed"), kinds.count("Lost")) == (8, 4, 8)


def test_random_deaths_and_cancels_leave_one_update_each(driver: Driver) -> None:
    """Whatever is killed or cancelled at whatever moment, no update is lost or doubled."""
    chance = random.Random(0)
    acts = [("answer", None), ("exit", 1), ("sleep", 0.02), ("sleep", 60), ("fault", "x")]
    submitted: set[AttemptId] = set()
    got: dict[AttemptId, Update] = {}
    while len(submitted) < 60:
        with contextlib.suppress(NoFreeDevice):
            submitted.add(driver.submit(*chance.choice(acts)))
        time.sleep(chance.random() * 0.02)
        for slot in driver.executor.devices():
            if slot.child_pid is not None and chance.random() < 0.2:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(slot.child_pid, chance.choice([9, 11, 15]))
            if slot.busy_with is not None and chance.random() < 0.3:
                driver.executor.cancel(slot.busy_with)
        for update in driver.executor.updates(0.0):
            assert update.attempt not in got
            got[update.attempt] = update
    for attempt in submitted - set(got):
        driver.executor.cancel(attempt)
    rest = driver.collect(len(submitted) - len(got))
    assert set(rest).isdisjoint(got)
    assert set(rest) | set(got) == submitted
    assert isinstance(driver.run(), Finished)


def test_consecutive_attempts_of_a_job_share_a_warm_child(driver: Driver) -> None:
    """The second attempt runs in the process that served the first."""
    driver.run()
    (first,) = [s.child_pid for s in driver.executor.devices() if s.child_pid is not None]
    driver.run()
    assert [s.child_pid for s in driver.executor.devices() if s.child_pid] == [first]


def test_a_new_executor_has_nothing_to_attach_to(driver: Driver) -> None:
    """Before anything was submitted no attempt is alive."""
    assert driver.executor.attach() == frozenset()


def test_close_ends_what_runs(driver: Driver) -> None:
    """Closing while both devices are busy leaves no process behind."""
    pids = [driver.spin(act)[1] for act in ("spin", "ignore_sigterm")]
    driver.executor.close()
    assert not any(_is_alive(pid) for pid in pids)


ORPHANING = """
import json, sys, time
from pathlib import Path
from tuner.places import Places
from tuner.records import Inspect, Workload
from workers.devices import LocalDevice
from workers.executor import AttemptId
from workers.executors import make_executor
from workers.launcher import Setup

act, mark, fake, name, folder = json.loads(sys.argv[1])
device = LocalDevice(id="cpu", accelerator="cpu", kind="cpu", name="cpu", memory_bytes=1)
setup = Setup(measuring="fake_measuring:FakeMeasuring", search_path=Path(fake))
executor = make_executor(name, devices=[device], setup=setup, lock_folder=Path(folder))
workload = Workload(model={"act": act, "argument": mark}, dataset={}, training={},
    metric="validation_loss", accelerator="cpu", data_seed=0)
attempt = AttemptId(job_id="j", request_id="r", number=1)
executor.submit(attempt, Inspect(id="r", workload=workload), Places(artifacts=Path(folder)))
time.sleep(60)
"""


@pytest.mark.parametrize("act", ["spin", "hold_interpreter", "leave_descendants"])
@pytest.mark.parametrize("name", EXECUTORS)
def test_no_process_outlives_a_killed_parent(name: str, act: str, tmp_path: Path) -> None:
    """`kill -9` of the process with the executor ends its children, busy, deaf or daemons."""
    mark = tmp_path / "pids"
    argument = json.dumps([act, str(mark), str(FAKE.search_path), name, str(tmp_path)])
    with subprocess.Popen([sys.executable, "-c", ORPHANING, argument], cwd=ROOT) as parent:
        try:
            pids = [int(p) for p in _eventually(lambda: mark.exists() and mark.read_text()).split()]
            family = set(pids) | set(descendants(parent.pid))
            assert all(_is_alive(pid) for pid in family)
        finally:
            parent.kill()
    _eventually(lambda: not any(_is_alive(pid) for pid in family))


def test_every_executor_of_the_registry_is_tried() -> None:
    """Whoever adds an executor adds it to this suite."""
    assert set(OPTIONS) == set(EXECUTORS)
