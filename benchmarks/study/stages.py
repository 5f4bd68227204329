"""Norms of updates where both ends of the range have come equally far.

The published figure is a median over the way to the minimum. A small batch spends most of that
way at a low training loss, where gradients are short, and a large one at a high loss. So norms
are also shown in the first epoch, and in the first epochs below parts of the initial loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any, Final

from tuner.deciding.study.arms import Trained, settled
from tuner.deciding.study.claims import Evidence
from tuner.deciding.study.claims.evidence import CannotBeTold
from tuner.records import EpochPoint
from tuner.study import Study

PARTS: Final = (0.5, 0.25, 0.125, 0.0625)
"""Parts of the training loss before the first step."""


def update_norms(study: Study) -> dict[str, Any]:
    """Compare norms of single updates of both ends at one rate, at equal training losses.

    Args:
        study: At its end.

    Returns:
        For each stage both means over the seeds on which both ends came so far; or why there
        is none.
    """
    try:
        ends = Evidence(job=study.job, arms=settled(study.job)).ends()
    except CannotBeTold as reason:
        return {"why_not": str(reason)}
    return {
        "what": "Median norm of single updates in the first epoch, and in the first epoch whose "
        "training loss is below a part of the initial one; means over the seeds.",
        "batch_sizes": [one.arm.batch_size for one in ends],
        "stages": [
            _stage(study, ends, "first epoch", math.inf),
            *(_stage(study, ends, f"loss below {part:g} of the initial", part) for part in PARTS),
        ],
    }


def _stage(study: Study, ends: Sequence[Trained], name: str, part: float) -> dict[str, Any]:
    rows = []
    for replicate in range(study.job.spec.seeds):
        norms = [next(_norms(one, replicate, part), None) for one in ends]
        known = [norm for norm in norms if norm is not None]
        rows += [known] if len(known) == len(ends) else []
    means = [fmean(column) for column in zip(*rows, strict=True)]
    return {"stage": name, "update_norms": means, "seeds": len(rows)}


def _norms(one: Trained, replicate: int, part: float) -> Iterator[float]:
    points = _points(one, replicate)
    for point in points[1:]:
        so_far = point.train_loss < part * points[0].train_loss
        if so_far and point.update_norm is not None:
            yield point.update_norm


def _points(one: Trained, replicate: int) -> tuple[EpochPoint, ...]:
    run = one.run(replicate)
    return run.result.points if run is not None and run.result is not None else ()
