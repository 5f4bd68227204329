"""Learning-rate schedules, counted in samples so that batch sizes are comparable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def learning_rate_at(schedule: Mapping[str, Any], samples_seen: float, peak: float) -> float:
    """Say the learning rate at a point of training.

    A step covers many samples. Give the middle of them (samples before the step plus half a
    batch): no step then has the rate zero that stands at either end of a cosine, and every
    batch size walks over nearly the same area under the schedule (midpoint rule).

    Args:
        schedule: `schedule` of the training: `constant`, or `cosine` with `warmup_samples`
            and `horizon_samples`.
        samples_seen: Training samples seen so far.
        peak: The rate that is being searched.

    Returns:
        The peak itself; or a linear rise to it, then half a cosine to zero at the horizon
        (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts), zero after it.
    """
    if schedule["kind"] == "constant":
        return peak
    if schedule["kind"] != "cosine":
        raise ValueError(f"no schedule is called {schedule['kind']!r}")
    warmup, horizon = int(schedule.get("warmup_samples", 0)), int(schedule["horizon_samples"])
    if samples_seen < warmup:
        return peak * samples_seen / warmup
    progress = min(1.0, (samples_seen - warmup) / (horizon - warmup))
    return peak * 0.5 * (1.0 + math.cos(math.pi * progress))
