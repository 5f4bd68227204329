"""Whether stacking is worth it is measured on the very steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.tuner.measuring.stacking.subjects import bench_of, mlp, requests_of
from tuner.measuring.stacking import measured_gain, train_stacked
from tuner.measuring.stacking.stack import Stack
from tuner.measuring.step import TrainingStep


class Clock:
    """Time that passes only where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """Read it."""
        return self.now

    def passing(self, seconds: float) -> Callable[..., None]:
        """Make something that takes so long."""

        def take(*_arguments: object) -> None:
            self.now += seconds

        return take


def test_the_gain_is_separate_over_stacked_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs of two seconds a step, stacked at three seconds a step, gain a factor of two."""
    workload, clock = mlp(), Clock()
    bench, requests = bench_of(workload, tmp_path), requests_of(workload)
    monkeypatch.setattr("tuner.measuring.stacking.gain.time", clock)
    monkeypatch.setattr(Stack, "run", clock.passing(3.0))
    monkeypatch.setattr(TrainingStep, "run", clock.passing(2.0))
    assert measured_gain(bench, requests) == pytest.approx(2.0)


def test_trying_leaves_no_trace(tmp_path: Path) -> None:
    """The global random state and the runs that follow are as if nothing had been tried."""
    workload = mlp(dropout=0.2)
    bench, requests = bench_of(workload, tmp_path), requests_of(workload, seeds=(1, 1, 1))
    before = train_stacked(bench, requests)
    state = torch.get_rng_state()
    gain = measured_gain(bench, requests)
    assert math.isfinite(gain)
    assert torch.equal(state, torch.get_rng_state())
    assert [result.curve for result in train_stacked(bench, requests)] == [
        result.curve for result in before
    ]
