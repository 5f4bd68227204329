"""Priors and trials, made by hand."""

from __future__ import annotations

from typing import Any

from tuner.deciding.prior import Prior
from tuner.deciding.sampler import Space
from tuner.deciding.score import Observation

SPACE = Space(batches=(8, 16, 32, 64, 128, 256, 512), low=1e-3, high=1.0)


def make_prior(**parts: Any) -> Prior:
    """A prior of SGD at batch 64 with rate 0.05; keyword arguments replace its parts."""
    known = {
        "batch": 64,
        "learning_rate": 0.05,
        "steps": 600.0,
        "critical_batch_size": 60.0,
        "exponent": 1.0,
        "step_seconds": {batch: 0.003 + 5e-5 * batch for batch in SPACE.batches},
        "exponent_deviation": 0.25,
    }
    return Prior(**(known | parts))


def trial(
    batch: int,
    rate: float,
    score: float | None,
    kind: str = "complete",
    *,
    seed: int | None = None,
) -> Observation:
    """A trial that ended."""
    return Observation(
        global_batch_size=batch, learning_rate=rate, kind=kind, score=score, run=None, seed=seed
    )
