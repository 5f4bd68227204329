"""A run's evaluations, smoothed, and where they cross a target.

Worker and decisions must agree on this to the last digit: the worker stops a run by it, and
the decisions rank by it. So it is stated once, in plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from tuner.records import CurvePoint

SMOOTHING: Final = 0.5
"""Weight of the newest evaluation in the moving average."""

HIGHER_IS_BETTER: Final = {"validation_loss": False, "accuracy": True}


def smoothed(curve: Sequence[CurvePoint]) -> list[float]:
    """Smooth a curve by an exponential moving average without start-up bias.

    Args:
        curve: Evaluations in order of steps.

    Returns:
        One value for each evaluation: weights 0.5, 0.25, … backwards, normalised to one.
    """
    values: list[float] = []
    total = weight = 0.0
    for point in curve:
        total = (1.0 - SMOOTHING) * total + SMOOTHING * point.value
        weight = (1.0 - SMOOTHING) * weight + SMOOTHING
        values.append(total / weight)
    return values


def meets(value: float, target: float, metric: str) -> bool:
    """Whether a metric is at least as good as its target."""
    return value >= target if HIGHER_IS_BETTER[metric] else value <= target


def better(one: float, other: float, metric: str) -> bool:
    """Whether one value of a metric is strictly better than another."""
    return one > other if HIGHER_IS_BETTER[metric] else one < other


def crossing_steps(curve: Sequence[CurvePoint], target: float, metric: str) -> float | None:
    """Find where the smoothed curve first crosses the target.

    Args:
        curve: Evaluations in order of steps.
        target: Value to reach.
        metric: `validation_loss` or `accuracy`.

    Returns:
        Optimizer steps, interpolated between the two evaluations on the logarithm of the
        metric (losses fall roughly exponentially); None if the target is never met. A
        crossing at the very first evaluation is that evaluation's step.
    """
    values = smoothed(curve)
    for index, (point, value) in enumerate(zip(curve, values, strict=True)):
        if not meets(value, target, metric):
            continue
        if index == 0:
            return float(point.step)
        before, before_step = values[index - 1], curve[index - 1].step
        if min(before, value, target) <= 0.0:
            return float(point.step)
        share = math.log(before / target) / math.log(before / value)
        return before_step + share * (point.step - before_step)
    return None


def best_value(curve: Sequence[CurvePoint], metric: str) -> float | None:
    """Return the best smoothed value of a curve; None of an empty one."""
    values = [value for value in smoothed(curve) if math.isfinite(value)]
    if not values:
        return None
    return max(values) if HIGHER_IS_BETTER[metric] else min(values)
