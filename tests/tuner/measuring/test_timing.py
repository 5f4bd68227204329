"""Timing: the law it reads off steps, and what it reports."""

from __future__ import annotations

import types
from statistics import median

import pytest
import torch

from tests.tuner.measuring.subjects import bench_of, digits
from tuner.measuring import timing
from tuner.measuring.step import TrainingStep
from tuner.measuring.timing import measure_timing
from tuner.records import StepTiming


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """The digits, warm."""
    return bench_of(digits(), tmp_path_factory.mktemp("artifacts"))


def request_of(bench, *sizes, rounds=3, window_seconds=0.02):
    """State a short timing."""
    return StepTiming(
        id="timing",
        workload=bench.workload,
        micro_batch_sizes=sizes,
        window_seconds=window_seconds,
        rounds=rounds,
    )


class Device:
    """A made-up device, whose clock is moved by the steps that are run on it."""

    def __init__(self):
        self.now = 0.0
        self.speed = 1.0
        self.steps = []

    def run(self, step, rows):
        """Take 3 ms, and for each pass 1 ms and 0.1 ms per sample."""
        passes = len(rows) // step.micro_batch_size
        seconds = 0.003 + passes * (0.001 + 0.0001 * step.micro_batch_size)
        self.now += seconds * self.speed
        self.steps.append((step.micro_batch_size, passes, seconds))


@pytest.fixture
def device(monkeypatch):
    """Time and steps of the made-up device."""
    device = Device()
    clock = types.SimpleNamespace(perf_counter=lambda: device.now)
    monkeypatch.setattr(timing, "time", clock)
    monkeypatch.setattr(TrainingStep, "run", lambda step, rows, _: device.run(step, rows))
    return device


def test_the_law_of_a_device_is_recovered(bench, device):
    """Pass and optimizer seconds come out as the device has them, at every size."""
    result = measure_timing(lambda: bench, request_of(bench, 8, 32, 128))
    assert [one.micro_batch_size for one in result.passes] == [8, 32, 128]
    for one in result.passes:
        assert one.pass_seconds == pytest.approx(0.001 + 0.0001 * one.micro_batch_size)
        assert one.optimizer_seconds == pytest.approx(0.003)
        assert one.spread == pytest.approx(0.0, abs=1e-9)
        assert len(one.windows) == 3


def test_every_size_gets_its_seconds(bench, device):
    """Windows last as long as was asked for in all, and hold three steps at least."""
    measure_timing(lambda: bench, request_of(bench, 8, 128, window_seconds=2.0))
    for size in (8, 128):
        assert sum(seconds for m, _, seconds in device.steps if m == size) >= 2.0
    device.steps.clear()
    measure_timing(lambda: bench, request_of(bench, 8, 128, window_seconds=0.0, rounds=2))
    for size in (8, 128):
        for passes in (1, 4):
            assert len([1 for m, s, _ in device.steps if (m, s) == (size, passes)]) >= 6


def test_one_disturbed_window_does_not_count(bench, device, monkeypatch):
    """A machine that halves its speed for one round leaves the medians as they were."""
    sound = timing._Timing._window
    rounds = iter([1.0, 2.0, 1.0])

    def window(self, size, windows):
        device.speed = next(rounds)
        sound(self, size, windows)

    monkeypatch.setattr(timing._Timing, "_window", window)
    (one,) = measure_timing(lambda: bench, request_of(bench, 16)).passes
    assert one.pass_seconds == pytest.approx(0.0026)
    assert one.optimizer_seconds == pytest.approx(0.003)
    assert one.spread == pytest.approx(0.5)


def test_parts_add_up_to_the_whole_step(bench):
    """On a real device pass and optimizer make the median whole step, none below zero."""
    result = measure_timing(lambda: bench, request_of(bench, 8, 64))
    for one in result.passes:
        assert one.pass_seconds + one.optimizer_seconds == pytest.approx(median(one.windows))
        assert one.pass_seconds > 0.0
        assert one.optimizer_seconds >= 0.0
        assert one.input_seconds > 0.0
    assert result.evaluation_seconds > 0.0


def test_a_size_that_runs_out_of_memory_is_left_out(bench, monkeypatch):
    """The other sizes are timed all the same."""
    sound = TrainingStep.run

    def run(self, rows, samples_before):
        if self.micro_batch_size == 64:
            raise torch.OutOfMemoryError("too large")
        sound(self, rows, samples_before)

    monkeypatch.setattr(TrainingStep, "run", run)
    result = measure_timing(lambda: bench, request_of(bench, 8, 64, 16))
    assert [one.micro_batch_size for one in result.passes] == [8, 16]
