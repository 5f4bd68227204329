"""Measures nothing: does in a child whatever the request's model asks for.

Sessions under test name it as what measures; no request, file or environment could.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuner.errors import InvalidWorkload
from tuner.places import Places
from tuner.records import (
    Device,
    Inspect,
    Inspection,
    MemoryMeasurement,
    MemoryPrediction,
    MemoryTrace,
    MemoryTrial,
    Outcome,
    Request,
    StepTiming,
    StudyOutcome,
    StudyRun,
    StudyRunResult,
    TimingMeasurement,
    TrainingResult,
)

Tightened = Callable[[], int | None]


class FakeMeasuring:
    """Acts as `workload.model["act"]` says, then answers with the kind of result asked for."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.served = 0

    def measure(self, request: Request, *, tightened: Tightened) -> Any:
        """Act, then answer."""
        self.served += 1
        act = request.workload.model.get("act", "answer")
        argument = request.workload.model.get("argument")
        limit = ACTS[act](argument, tightened)
        return self._answer(request, limit)

    def _answer(self, request: Request, limit: Any) -> Any:
        match request:
            case Inspect():
                return self._inspection()
            case MemoryTrial(micro_batch_size=size, limit_bytes=limit_bytes):
                return memory(size, out_of_memory=size > limit_bytes)
            case MemoryTrace():
                return MemoryPrediction(
                    points=(), parameter_bytes=os.getpid(), gradient_bytes=0,
                    optimizer_state_bytes=0, buffer_bytes=0, data_bytes=0,
                    activation_bytes_per_sample=0.0, traced=True, device_seconds=0.1,
                )  # fmt: skip
            case StepTiming():
                return TimingMeasurement(passes=(), evaluation_seconds=0.0, device_seconds=0.1)
            case StudyRun():
                full = limit == 0
                ended = StudyOutcome.OUT_OF_MEMORY if full else StudyOutcome.EXHAUSTED
                return StudyRunResult(outcome=ended, points=(), minimum=None)
            case _:
                applied = request.max_steps if limit is None else limit
                outcome = Outcome.OUT_OF_MEMORY if applied == 0 else Outcome.CENSORED
                return TrainingResult(
                    outcome=outcome, steps=applied, crossing_steps=None, curve=(),
                    limit_applied=applied,
                )  # fmt: skip

    def _inspection(self) -> Inspection:
        """Tell in its text fields what the process is like."""
        facts = {
            "pid": os.getpid(),
            "served": self.served,
            "artifacts": str(self.places.artifacts),
            "environment": dict(os.environ),
            "path": sys.path,
            "workers": sys.modules["workers"].__file__,
            "tuner": sys.modules["tuner"].__file__,
            "cwd": str(Path.cwd()),
        }
        device = Device(
            kind="cpu", name="fake", memory_bytes=1, limit_bytes=1, torch_version="none"
        )
        return Inspection(
            num_train=1, num_validation=1, input_shape=(1,), input_dtype="float32",
            output_size=1, tokens_per_sample=None, parameter_count=1, parameter_bytes=4,
            batch_dependent_layers=(), synthetic=True, data_digest="", code_digest="",
            initial_loss=1.0, device=device, device_seconds=0.0,
            warnings=tuple(f"{key}={value}" for key, value in facts.items()),
        )  # fmt: skip


def memory(size: int, *, out_of_memory: bool) -> MemoryMeasurement:
    """Return a trial of one size."""
    return MemoryMeasurement(
        micro_batch_size=size, out_of_memory=out_of_memory, forward_backward_bytes=size,
        optimizer_bytes=1, evaluation_bytes=1, reserved_bytes=size, allocation_retries=0,
        steps=3, device_seconds=0.1,
    )  # fmt: skip


def _raise_fault(argument: Any, _: Tightened) -> None:
    try:
        _user_code(argument)
    except ValueError as error:
        raise InvalidWorkload("The model raised.", pointer="/model") from error


def _user_code(argument: Any) -> None:
    raise ValueError(argument)


def _raise(argument: Any, _: Tightened) -> None:
    raise RuntimeError(argument)


def _die(signum: Any, _: Tightened) -> None:
    os.kill(os.getpid(), signum)
    time.sleep(60)


def _spin(argument: Any, _: Tightened) -> None:
    Path(argument).write_text(str(os.getpid()))
    while True:
        pass


def _hold_interpreter(argument: Any, _: Tightened) -> None:
    """Compute in C without ever letting another thread run, deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(argument).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(60)


def _ignore_sigterm(argument: Any, _: Tightened) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _spin(argument, _)


def _leave_descendants(argument: Any, _: Tightened) -> None:
    """Start a process in a session of its own, then a daemon, then go on for ever."""
    code = "import time; time.sleep(60)"
    own = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    start = (
        f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {code!r}],"
        " start_new_session=True, stdout=subprocess.DEVNULL).pid)"
    )
    daemon = [sys.executable, "-c", start]
    out = subprocess.run(daemon, check=True, stdout=subprocess.PIPE, text=True).stdout
    Path(argument).write_text(f"{os.getpid()} {own.pid} {out}")
    while True:
        time.sleep(1)


def _await_limit(_: Any, tightened: Tightened) -> int:
    while (limit := tightened()) is None:
        time.sleep(0.001)
    return limit


def _print(argument: Any, _: Tightened) -> None:
    sys.stdout.write(argument)
    sys.stdout.flush()
    os._exit(3)


def _allocate_nothing(_: Any, __: Tightened) -> int:
    return 0


ACTS: dict[str, Callable[[Any, Tightened], int | None]] = {
    "answer": lambda _, __: None,
    "fault": _raise_fault,
    "raise": _raise,
    "die": _die,
    "leave": lambda code, _: sys.exit(code),
    "exit": lambda code, _: os._exit(code),
    "spin": _spin,
    "hold_interpreter": _hold_interpreter,
    "ignore_sigterm": _ignore_sigterm,
    "leave_descendants": _leave_descendants,
    "await_limit": _await_limit,
    "print": _print,
    "out_of_memory": _allocate_nothing,
    "close_descriptors": lambda _, __: os.closerange(3, 256),
    "sleep": lambda seconds, _: time.sleep(seconds),
}
