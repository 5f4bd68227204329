"""What is kept of a study: a summary that is shown with its job, and findings of bounded size.

Curves are megabytes, and many look at a job while it runs. So the job's answer is the summary,
a few kilobytes, and everything else is read on its own by those who want it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from tuner.recommendation import Caution
from tuner.study_findings import Arm, ArmBase, StudyFindings, StudyPoint, StudyRunFound, StudyShared

MAX_CURVE_POINTS: Final = 100_000
"""Points of all curves of a study that are kept: some 25 MB of JSON."""

FEWEST_RUN_POINTS: Final = 16
"""Points that a run keeps however many runs there are."""

THINNED: Final = "curves_thinned"
"""Code of the caution that curves were too long to be kept whole."""


class ArmSummed(ArmBase):
    """One batch size at one learning rate, without its single runs."""

    runs: int


class StudySummary(StudyShared):
    """What a study found, without curves, lines and landscapes."""

    arms: tuple[ArmSummed, ...]


def summarise(findings: StudyFindings) -> StudySummary:
    """Leave out of the findings what is large.

    Args:
        findings: All that a study found.

    Returns:
        Its arms over their seeds, its claims with their verdicts, and what it rests on.
    """
    shared = {name: getattr(findings, name) for name in StudyShared.model_fields}
    return StudySummary(arms=tuple(map(_summed, findings.arms)), **shared)


def _summed(arm: Arm) -> ArmSummed:
    shared = {name: getattr(arm, name) for name in ArmBase.model_fields}
    return ArmSummed(runs=len(arm.runs), **shared)


def bounded(findings: StudyFindings, *, most_points: int = MAX_CURVE_POINTS) -> StudyFindings:
    """Thin the curves out where there is more of them than can be kept.

    The ends of a curve and its minimum always stay, and what is said about a run was found on
    all of its points.

    Args:
        findings: All that a study found.
        most_points: Of all curves together.

    Returns:
        The findings; where points were left out, with a caution that says so.
    """
    runs = [run for arm in findings.arms for run in arm.runs]
    total = sum(len(run.points) for run in runs)
    if total <= most_points:
        return findings
    each = max(FEWEST_RUN_POINTS, most_points // len(runs))
    arms = tuple(
        arm.model_copy(update={"runs": tuple(_thinned(run, each) for run in arm.runs)})
        for arm in findings.arms
    )
    kept = sum(len(run.points) for arm in arms for run in arm.runs)
    caution = Caution(
        code=THINNED,
        detail=f"Curves show {kept:,} of {total:,} measured points, evenly spaced; every number "
        "beside them was found on all.",
    )
    return findings.model_copy(update={"arms": arms, "warnings": (*findings.warnings, caution)})


def _thinned(run: StudyRunFound, most: int) -> StudyRunFound:
    points = run.points
    if len(points) <= most:
        return run
    stride = math.ceil((len(points) - 1) / (most - 2))
    kept = {*range(0, len(points), stride), len(points) - 1}
    if run.minimum is not None:
        kept.add(_nearest(points, run.minimum.step))
    return run.model_copy(update={"points": tuple(points[index] for index in sorted(kept))})


def _nearest(points: Sequence[StudyPoint], step: int) -> int:
    return min(range(len(points)), key=lambda index: abs(points[index].step - step))
