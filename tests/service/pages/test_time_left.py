"""Time left: a range, and how it was made."""

from __future__ import annotations

import pytest

from service.pages.time_left import FEWEST_JOBS, UNKNOWN_FACTOR, time_left


def left(**given: float | None) -> tuple[float, float] | None:
    """The range for a job at 20 of 100 device seconds after 10 s, unless it is said otherwise."""
    past = [1.0] * int(given.pop("past", 0) or 0)
    values = {
        "predicted_seconds": 100.0,
        "spent_seconds": 20.0,
        "elapsed_seconds": 10.0,
        "limit_seconds": 1e6,
        **given,
    }
    found = time_left(**values, past=past)  # type: ignore[arg-type]
    return None if found is None else (found.low_seconds, found.high_seconds)


def test_device_seconds_become_wall_seconds_at_the_pace_so_far() -> None:
    """Two device seconds a second, 80 left: 40 s, where past predictions were right."""
    assert left(past=FEWEST_JOBS) == pytest.approx((40.0, 40.0))


def test_without_past_jobs_a_prediction_is_doubted() -> None:
    """The range is what the factor allows either way."""
    assert left() == pytest.approx(
        ((100.0 / UNKNOWN_FACTOR - 20.0) / 2.0, (100.0 * UNKNOWN_FACTOR - 20.0) / 2.0)
    )


def test_past_jobs_widen_the_range_as_they_were_off() -> None:
    """The outer tenths are left out of a range made with how far past predictions were off."""
    past = [0.5, *[1.0] * 4, *[1.5] * 4, 9.0]
    found = time_left(
        predicted_seconds=100.0,
        spent_seconds=20.0,
        elapsed_seconds=20.0,
        limit_seconds=1e6,
        past=past,
    )
    assert found is not None
    assert (found.low_seconds, found.high_seconds) == pytest.approx((80.0, 130.0))
    assert "last 10 jobs" in found.how


def test_a_job_never_takes_longer_than_its_timeout() -> None:
    """Both ends stop at the timeout, and below at nothing."""
    assert left(limit_seconds=25.0) == pytest.approx((15.0, 15.0))
    assert left(spent_seconds=300.0) == pytest.approx((0.0, 0.0))
    assert left(limit_seconds=5.0) == (0.0, 0.0)


def test_before_a_prediction_nothing_is_told() -> None:
    """Neither without a predicted cost nor before any second was spent."""
    assert left(predicted_seconds=None) is None
    assert left(spent_seconds=0.0) is None
    assert left(elapsed_seconds=0.0) is None
