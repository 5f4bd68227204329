"""Isolated measurements for the library's own driver."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tuner.errors import TunerError
from tuner.places import Places
from tuner.records import Inspect, Inspection, Measurement, Request
from tuner.tune import MeasurementLost
from workers.executor import NoFreeDevice
from workers.measure import isolated_measure
from workers.processes import descendants

from .conftest import CPU, workload


@pytest.fixture
def measure(tmp_path: Path, fake_setup) -> Iterator[Callable[[Request], Measurement]]:
    """A measuring function whose children are gone afterwards."""
    with isolated_measure(
        Places(artifacts=tmp_path), devices=[CPU], setup=fake_setup, lock_folder=tmp_path
    ) as function:
        yield function
    assert descendants(os.getpid()) == []


def _inspect(act: str = "answer", argument: object = None) -> Inspect:
    return Inspect(id="i", workload=workload(act, argument))


def test_results_come_from_one_warm_child(measure) -> None:
    """Two requests are measured in the same process, which is not this one."""
    pids = set()
    for _ in range(2):
        result = measure(_inspect())
        assert isinstance(result, Inspection)
        pids.add(result.warnings[0])
    assert len(pids) == 1
    assert pids != {f"pid={os.getpid()}"}


def test_a_fault_of_the_workload_raises_what_the_child_raised(measure) -> None:
    """Code, pointer and the user's traceback survive."""
    with pytest.raises(TunerError) as caught:
        measure(_inspect("fault", "no"))
    assert caught.value.problem.code == "invalid_workload"
    assert caught.value.problem.pointer == "/model"
    assert "ValueError: no" in (caught.value.problem.traceback or "")


def test_a_dead_child_raises_and_the_next_request_works(measure) -> None:
    """The driver is told that trying again may help."""
    with pytest.raises(MeasurementLost, match="SIGSEGV"):
        measure(_inspect("die", int(signal.SIGSEGV)))
    assert isinstance(measure(_inspect()), Inspection)


def test_a_machine_without_the_accelerator_says_so(tmp_path: Path) -> None:
    """No request is measured on something else than it asks for."""
    places = Places(artifacts=tmp_path)
    with (
        isolated_measure(places, devices=[], lock_folder=tmp_path) as function,
        pytest.raises(NoFreeDevice, match="cpu"),
    ):
        function(_inspect())
