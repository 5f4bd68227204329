"""Whether stacking is worth it is measured on the very steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.tuner.measuring.stacking.subjects import bench_of, mlp, requests_of
from tuner.measuring.stacking import measure_paces, train_stacked
from tuner.measuring.stacking.stack import Stack
from tuner.measuring.step import TrainingStep
from tuner.measuring.workbench import Workbench
from tuner.records import StackPace, StackPaces, StackTiming, Workload


class Clock:
    """Time that passes only where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """Read it."""
        return self.now

    def passing(self, seconds: Callable[[object], float]) -> Callable[..., None]:
        """Make something that takes so long, by what it belongs to."""

        def take(owner: object, *_arguments: object) -> None:
            self.now += seconds(owner)

        return take


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Lone steps of two seconds, and of stacks by their width; a trace is free."""
    seconds: dict[int, float] = {}
    clock = Clock()
    monkeypatch.setattr("tuner.measuring.stacking.paces.time", clock)
    monkeypatch.setattr(Stack, "run", clock.passing(lambda stack: seconds[len(stack)]))  # type: ignore[arg-type]
    monkeypatch.setattr(TrainingStep, "run", clock.passing(lambda _: 2.0))
    return seconds


def asked(workload: Workload, bench: Workbench, *widths: int, allowance: float) -> StackPaces:
    """Time stacks of four runs and fewer."""
    runs = tuple(requests_of(workload, rates=(0.01,) * 4, seeds=(3,) * 4))
    request = StackTiming(id="t", runs=runs, widths=widths, allowance_seconds=allowance)
    return measure_paces(lambda: bench, request)


def test_steps_of_both_ways_are_told(tmp_path: Path, timed: dict[int, float]) -> None:
    """What a step takes is told for each width, and for one run alone."""
    timed.update({4: 5.0, 2: 3.0})
    workload = mlp()
    found = asked(workload, bench_of(workload, tmp_path), 4, 2, allowance=1e9)
    assert found.lone_step_seconds == pytest.approx(2.0)
    assert [(pace.runs, pace.step_seconds) for pace in found.paces] == [(4, 5.0), (2, 3.0)]
    assert found.refused is None


def test_narrower_stacks_are_left_out_where_the_widest_is_no_faster(
    tmp_path: Path, timed: dict[int, float]
) -> None:
    """Four runs at nine seconds a step are slower than alone: two are not tried."""
    timed.update({4: 9.0, 2: 1.0})
    workload = mlp()
    found = asked(workload, bench_of(workload, tmp_path), 4, 2, allowance=1e9)
    assert [pace.runs for pace in found.paces] == [4]


def test_a_small_allowance_ends_the_trying(tmp_path: Path, timed: dict[int, float]) -> None:
    """Where little is at stake no pass is written down, and one width is enough."""
    timed.update({4: 5.0, 2: 3.0})
    workload = mlp()
    bench = bench_of(workload, tmp_path)
    found = asked(workload, bench, 4, 2, allowance=1.0)
    assert found.paces == (StackPace(runs=4, step_seconds=5.0),)
    assert bench.traces == {}


def test_a_stack_that_memory_does_not_hold_is_said(
    tmp_path: Path, timed: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four runs run out of memory; two are tried all the same."""
    timed.update({2: 3.0})
    step = Stack.run

    def run(stack: Stack, start: int, samples: int) -> None:
        if len(stack) > 2:
            raise torch.OutOfMemoryError("no room")
        step(stack, start, samples)

    monkeypatch.setattr(Stack, "run", run)
    workload = mlp()
    found = asked(workload, bench_of(workload, tmp_path), 4, 2, allowance=1e9)
    assert [(pace.runs, pace.step_seconds) for pace in found.paces] == [(4, None), (2, 3.0)]


def test_runs_that_cannot_be_stacked_cost_nothing(tmp_path: Path) -> None:
    """The rule speaks before anything is set up."""
    workload = mlp(precision="bf16")
    runs = tuple(requests_of(workload, seeds=(3, 3, 3)))
    request = StackTiming(id="t", runs=runs, widths=(2,), allowance_seconds=1.0)

    def never() -> Workbench:
        raise AssertionError

    found = measure_paces(never, request)
    assert found.paces == ()
    assert "bf16" in (found.refused or "")


def test_trying_leaves_no_trace_in_the_runs(tmp_path: Path) -> None:
    """The global random state and the runs that follow are as if nothing had been tried."""
    workload = mlp(dropout=0.2)
    bench, requests = bench_of(workload, tmp_path), requests_of(workload, seeds=(1, 1, 1))
    before = train_stacked(bench, requests)
    state = torch.get_rng_state()
    asked(workload, bench, 3, allowance=1e9)
    assert torch.equal(state, torch.get_rng_state())
    after = train_stacked(bench, requests)
    for one, other in zip(before, after, strict=True):
        assert [point.value for point in one.curve] == pytest.approx(
            [point.value for point in other.curve], rel=1e-5
        )


def test_what_was_written_down_serves_later_stacks(tmp_path: Path) -> None:
    """A stack of the same width and shapes goes on with the passes that were timed."""
    workload = mlp()
    bench = bench_of(workload, tmp_path)
    asked(workload, bench, 4, allowance=1e9)
    kept = dict(bench.traces)
    assert kept
    runs = requests_of(workload, rates=(0.01, 0.02, 0.03, 0.04), seeds=(3,) * 4)
    train_stacked(bench, runs)
    assert {key: bench.traces[key] for key in kept} == kept
