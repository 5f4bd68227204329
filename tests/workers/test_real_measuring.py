"""The real measuring code in a real child: small models on data that ship with scikit-learn."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tuner.places import Places
from tuner.records import (
    BatchPlan,
    Inspect,
    Inspection,
    MemoryTrial,
    Outcome,
    StackedRuns,
    StepTiming,
    TrainingRun,
    Workload,
)
from workers.devices import cpu
from workers.executor import AttemptFailed, Finished, Lost
from workers.processes import descendants
from workers.session import DeviceSession

from .conftest import Bench, eventually

SGD = {"kind": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
TRAINING = {
    "task": "classification",
    "optimizer": SGD,
    "schedule": {"kind": "constant"},
    "precision": "fp32",
    "gradient_clip_norm": None,
    "activation_checkpointing": False,
    "attention": "auto",
    "compile": False,
}
IRIS = Workload(
    model={"kind": "builtin", "name": "mlp", "options": {"hidden": [8], "dropout": 0.0}},
    dataset={"kind": "sklearn", "name": "iris", "validation_fraction": 0.2},
    training=TRAINING,
    metric="validation_loss",
    accelerator="cpu",
    data_seed=0,
)
RUN = TrainingRun(
    id="run",
    workload=IRIS,
    plan=BatchPlan(micro_batch_size=8, gradient_accumulation_steps=2),
    learning_rate=0.05,
    seed=1,
    max_steps=30,
    evaluate_every_steps=10,
    target=None,
    device_kind="cpu",
)
OWN_CODE = """
import os
from pathlib import Path

def build(kind, mark, **_):
    print("about to", kind, flush=True)
    Path(mark).touch()
    if kind == "raise":
        raise ValueError("my model needs a grandparent")
    if kind == "exit":
        os._exit(9)
    while True:
        pass
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A session that measures for real, with a folder of the user's own code."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "code").mkdir()
    (folder / "code" / "mine.py").write_text(OWN_CODE)
    session = DeviceSession(cpu(), lock_folder=folder / "locks")
    places = Places(
        artifacts=folder / "artifacts",
        code_root=folder / "code",
        entrypoint_prefixes=("mine",),
    )
    yield Bench(session, places)
    session.close()
    assert descendants(os.getpid()) == []


def _own(kind: str, mark: Path) -> Workload:
    kwargs = {"kind": kind, "mark": str(mark)}
    model = {"kind": "entrypoint", "target": "mine:build", "kwargs": kwargs}
    return replace(IRIS, model=model)


def _result(update: object) -> Any:
    assert isinstance(update, Finished), update
    return update.result


def test_every_kind_of_request_is_measured(real: Bench) -> None:
    """Inspection, memory, timing and training come back as their own kind of result."""
    inspection = _result(real.measure(Inspect(id="i", workload=IRIS)))
    assert isinstance(inspection, Inspection)
    assert inspection.num_train + inspection.num_validation == 150
    trial = MemoryTrial(
        id="m", workload=IRIS, micro_batch_size=8, accumulation=2, limit_bytes=2**30
    )
    memory = _result(real.measure(trial))
    assert not memory.out_of_memory
    assert memory.peak_bytes > 0
    timing = StepTiming(
        id="t", workload=IRIS, micro_batch_sizes=(4,), window_seconds=0.05, rounds=1
    )
    assert _result(real.measure(timing)).passes[0].micro_batch_size == 4
    run = _result(real.measure(RUN))
    assert (run.outcome, run.steps) == (Outcome.CENSORED, 30)


def test_the_same_run_in_another_child_is_the_same(real: Bench) -> None:
    """A result does not depend on which child measured it, or on what that did before."""
    warm = _result(real.measure(RUN))
    fresh = _result(real.measure(RUN, job="another"))
    assert warm.curve == fresh.curve


def test_out_of_memory_and_then_a_run(real: Bench) -> None:
    """A limit that is hit is an answer; the run after it works."""
    trial = MemoryTrial(id="m", workload=IRIS, micro_batch_size=8, accumulation=2, limit_bytes=64)
    assert _result(real.measure(trial)).out_of_memory
    assert _result(real.measure(RUN)).steps == 30


def test_a_tightened_limit_ends_a_real_run(real: Bench) -> None:
    """A run of a million steps ends where it was told to while it ran."""
    endless = replace(RUN, max_steps=1_000_000, evaluate_every_steps=20)
    attempt, updates = real.attempt(endless), []
    thread = threading.Thread(
        target=lambda: updates.append(real.session.measure(attempt, endless, real.places))
    )
    thread.start()

    def ended() -> bool:
        real.session.tighten(attempt, 40)
        thread.join(0.05)
        return not thread.is_alive()

    eventually(ended, within_seconds=60.0)
    result = _result(updates[0])
    assert result.limit_applied <= result.steps < 1_000_000
    assert result.outcome is Outcome.CENSORED


def test_a_model_that_raises_fails_with_its_own_traceback(real: Bench, tmp_path: Path) -> None:
    """The user reads the lines of the file that raised."""
    update = real.measure(Inspect(id="i", workload=_own("raise", tmp_path / "mark")))
    assert isinstance(update, AttemptFailed), update
    assert "my model needs a grandparent" in update.problem.detail
    assert "mine.py" in (update.problem.traceback or "")


def test_a_model_that_ends_its_process_is_lost_with_its_last_words(
    real: Bench, tmp_path: Path
) -> None:
    """What user code printed last is told with its exit."""
    update = real.measure(Inspect(id="i", workload=_own("exit", tmp_path / "mark")))
    assert isinstance(update, Lost), update
    assert "exit code 9" in update.detail
    assert "about to exit" in update.detail


def test_a_model_that_never_returns_can_be_cancelled(real: Bench, tmp_path: Path) -> None:
    """An endless constructor is withdrawn, and the session measures on."""
    request = Inspect(id="i", workload=_own("spin", tmp_path / "mark"))
    attempt, updates = real.attempt(request), []
    thread = threading.Thread(
        target=lambda: updates.append(real.session.measure(attempt, request, real.places))
    )
    thread.start()
    eventually((tmp_path / "mark").exists, within_seconds=60.0)
    real.session.cancel(attempt)
    thread.join()
    assert isinstance(updates[0], Lost)
    assert updates[0].cause == "withdrawn"
    assert isinstance(real.measure(RUN), Finished)


def _stack(**changes: Any) -> StackedRuns:
    """Ask for three rates side by side."""
    rates = (0.01, 0.05, 0.1)
    runs = [replace(RUN, id=f"lane-{rate}", learning_rate=rate, **changes) for rate in rates]
    return StackedRuns(id="stack", runs=tuple(runs))


def _while_it_runs(real: Bench, request: StackedRuns) -> tuple[Any, threading.Thread, list[Any]]:
    """Measure in a thread, in a child that is warm, and return half a second later."""
    attempt, updates = real.attempt(request), []
    assert isinstance(real.measure(RUN), Finished)
    thread = threading.Thread(
        target=lambda: updates.append(real.session.measure(attempt, request, real.places))
    )
    thread.start()
    eventually(lambda: real.session.slot().busy_with == attempt)
    time.sleep(0.5)
    return attempt, thread, updates


def test_runs_side_by_side_come_back_as_they_would_alone(real: Bench) -> None:
    """A stack in a child gives each run the result of its own request."""
    request = _stack()
    stacked = _result(real.measure(request))
    assert stacked.device_seconds > 0.0
    for run, result in zip(request.runs, stacked.results, strict=True):
        lone = _result(real.measure(run))
        assert [point.step for point in result.curve] == [point.step for point in lone.curve]
        assert [point.value for point in result.curve] == pytest.approx(
            [point.value for point in lone.curve], rel=1e-4
        )


def test_a_child_killed_in_a_stack_costs_an_attempt(real: Bench) -> None:
    """`kill -9` in the middle of a stack is a crash; the same request then runs to its end."""
    _, thread, updates = _while_it_runs(real, _stack(max_steps=10_000_000))
    pid = real.session.slot().child_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert isinstance(updates[0], Lost), updates[0]
    assert updates[0].cause == "crashed"
    assert [one.steps for one in _result(real.measure(_stack())).results] == [30, 30, 30]


def test_a_stack_can_be_cancelled(real: Bench) -> None:
    """A cancel ends runs side by side as it ends a lone one, and the session measures on."""
    attempt, thread, updates = _while_it_runs(real, _stack(max_steps=10_000_000))
    real.session.cancel(attempt)
    thread.join(10.0)
    assert not thread.is_alive()
    assert isinstance(updates[0], Lost)
    assert updates[0].cause == "withdrawn"
    assert isinstance(real.measure(RUN), Finished)


def test_a_tightened_limit_ends_a_stack(real: Bench) -> None:
    """A limit that is told to a stack holds for every run in it."""
    request = _stack(max_steps=1_000_000, evaluate_every_steps=20)
    attempt, thread, updates = _while_it_runs(real, request)

    def ended() -> bool:
        real.session.tighten(attempt, 40)
        thread.join(0.05)
        return not thread.is_alive()

    eventually(ended, within_seconds=60.0)
    results = _result(updates[0]).results
    assert len({one.steps for one in results}) == 1
    assert all(one.outcome is Outcome.CENSORED and one.steps < 1_000_000 for one in results)
