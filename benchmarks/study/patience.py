"""Both ends of the range once more with more patience: does patience make the difference?

A large batch at a small rate falls slowly, and a patience in epochs may end it on the way down.
So the arms that are compared at one rate train again, from the same weights, until three times as
many epochs bring no new minimum.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Final

from tuner.deciding.study.arms import Trained, settled
from tuner.deciding.study.claims import Evidence
from tuner.deciding.study.claims.evidence import CannotBeTold
from tuner.deciding.study.statistics import CONFIDENCE, interval
from tuner.deciding.study.train import study_run
from tuner.records import Measurement, Request, StudyRun, StudyRunResult
from tuner.study import Study

FACTOR: Final = 3
"""How many times as patient."""


def patient(study: Study, measure: Callable[[Request], Measurement]) -> dict[str, Any]:
    """Train both ends with more patience and compare their lowest losses.

    Args:
        study: At its end.
        measure: Measures a run.

    Returns:
        For both ends, and for ln of their ratio, the mean over the seeds with its t interval at
        95 %: as the study had it, and with more patience; or why there is none.
    """
    try:
        ends = Evidence(job=study.job, arms=settled(study.job)).ends()
    except CannotBeTold as reason:
        return {"why_not": str(reason)}
    usual: list[tuple[float, float]] = []
    longer: list[tuple[float, float]] = []
    epochs: list[tuple[float, float]] = []
    for replicate in range(study.job.spec.seeds):
        before = [_lowest_of_study(one, replicate) for one in ends]
        after = [_lowest(measure(_request(study, one, replicate))) for one in ends]
        if before[0] and before[1] and after[0] and after[1]:
            usual.append((before[0], before[1]))
            longer.append((after[0][0], after[1][0]))
            epochs.append((after[0][1], after[1][1]))
    patience = study.job.spec.patience_epochs
    return {
        "what": "Lowest validation losses at both ends of the range, at one rate, as the study "
        "had them and from the same weights with more patience.",
        "batch_sizes": [one.arm.batch_size for one in ends],
        "learning_rate": ends[0].arm.learning_rate,
        "seeds": len(usual),
        "as_in_the_study": {"patience_epochs": patience, **_told(usual)},
        "with_more": {
            "patience_epochs": FACTOR * patience,
            **_told(longer),
            "epochs": [_mean([pair[side] for pair in epochs]) for side in (0, 1)],
        },
    }


def _request(study: Study, one: Trained, replicate: int) -> StudyRun:
    usual = study_run(study.job, one.arm, replicate)
    return dataclasses.replace(
        usual,
        patience_epochs=FACTOR * usual.patience_epochs,
        keep_minimiser=False,
        deadline_seconds=None,
    )


def _lowest_of_study(one: Trained, replicate: int) -> float | None:
    run = one.run(replicate)
    return run.minimum.validation_loss if run is not None and run.minimum is not None else None


def _lowest(result: Measurement) -> tuple[float, float] | None:
    """Return the lowest validation loss, and its epoch."""
    assert isinstance(result, StudyRunResult)  # noqa: S101  (what a run comes back with)
    if result.minimum is None:
        return None
    point = result.points[result.minimum]
    return point.validation_loss, point.epoch


def _told(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    ratios = [math.log(large / small) for small, large in pairs]
    found: dict[str, Any] = {"loss": [_mean([pair[side] for pair in pairs]) for side in (0, 1)]}
    if len(ratios) > 1:
        found["log_ratio"], found["low"], found["high"] = interval(ratios, CONFIDENCE)
    return found


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
