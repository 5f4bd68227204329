"""Smoothing and crossing, on curves whose crossing is known."""

from __future__ import annotations

import math

import pytest

from tuner.curve import best_value, crossing_steps, smoothed
from tuner.records import CurvePoint


def _curve(*values: float) -> list[CurvePoint]:
    return [CurvePoint(step=10 * (i + 1), value=value) for i, value in enumerate(values)]


def test_a_constant_stays_constant() -> None:
    """Smoothing has no start-up bias."""
    assert smoothed(_curve(2.0, 2.0, 2.0)) == pytest.approx([2.0, 2.0, 2.0])


def test_a_single_lucky_dip_does_not_cross() -> None:
    """One evaluation below the target is not enough."""
    assert crossing_steps(_curve(1.0, 1.0, 0.4, 1.0, 1.0), 0.5, "validation_loss") is None


def test_crossing_is_interpolated_on_the_logarithm() -> None:
    """An exponential decay crosses where its smoothed self does, between two evaluations."""
    curve = _curve(*(math.exp(-0.3 * i) for i in range(40)))
    steps = crossing_steps(curve, 0.05, "validation_loss")
    values = smoothed(curve)
    after = next(i for i, value in enumerate(values) if value <= 0.05)
    assert curve[after - 1].step < steps <= curve[after].step
    share = (steps - curve[after - 1].step) / 10
    assert values[after - 1] * (values[after] / values[after - 1]) ** share == pytest.approx(0.05)


def test_accuracy_crosses_upwards() -> None:
    """For a metric where higher is better the crossing is from below."""
    assert crossing_steps(_curve(0.1, 0.5, 0.9, 0.95, 0.95, 0.95), 0.9, "accuracy") is not None
    assert crossing_steps(_curve(0.1, 0.5, 0.6), 0.9, "accuracy") is None


def test_best_value_ignores_what_is_not_finite() -> None:
    """A curve that ends in NaN still has a best value."""
    assert best_value(_curve(2.0, 1.0, math.nan), "validation_loss") == pytest.approx(4.0 / 3.0)
    assert best_value([], "accuracy") is None
