"""How busy devices are, by a clock that a test holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.busy import WINDOW_SECONDS, BusyTimes
from tests.service.fake_executor import slot
from workers.executor import AttemptId, DeviceSlot

ATTEMPT = AttemptId(job_id="tj_1", request_id="r-1", number=1)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def device(name: str, *, busy: bool) -> DeviceSlot:
    """A device, at work or not."""
    return replace(slot(name), busy_with=ATTEMPT if busy else None)


def test_time_counts_from_the_look_that_finds_work_to_the_next() -> None:
    """Each device has its own, and idle time is none."""
    clock = Clock()
    times = BusyTimes(clock)
    for seconds, busy in [(2.0, True), (3.0, True), (5.0, False), (10.0, True)]:
        times.look([device("a", busy=busy), device("b", busy=False)])
        clock.now += seconds
    times.look([])
    assert times.seconds("a") == pytest.approx(15.0)
    assert times.share("a") == pytest.approx(0.75)
    assert times.seconds("b") == 0.0
    assert times.share("b") == 0.0


def test_the_share_forgets_what_was_long_ago() -> None:
    """Work of an hour ago does not make a device look busy, and the sum keeps it."""
    clock = Clock()
    times = BusyTimes(clock)
    for busy in (True, False):
        for _ in range(400):
            times.look([device("a", busy=busy)])
            clock.now += 1.0
        share = times.share("a")
        assert share == pytest.approx(1.0 if busy else 0.0, abs=0.03)
    times.look([])
    assert times.seconds("a") == pytest.approx(400.0)
    assert len(times._steps) <= WINDOW_SECONDS


def test_nothing_was_seen_yet() -> None:
    """Before any time has passed no share is stated, and none divides by nought."""
    assert BusyTimes(Clock()).share("a") == 0.0
