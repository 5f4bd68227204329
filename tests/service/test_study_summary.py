"""What is kept of a study: little with its job, and never more than a bounded lot beside it."""

from __future__ import annotations

import json
import math

import pytest

from service.kept import kept
from service.study_summary import FEWEST_RUN_POINTS, THINNED, bounded, summarise
from tests.service.small_study import STUDY, SmallStudy, StudyWorld
from tuner.records import CapacityChanged, Result, Start, Started
from tuner.spec import StudySpec
from tuner.study_findings import StudyFindings, StudyPoint


@pytest.fixture(scope="module")
def findings() -> StudyFindings:
    """What the small study finds."""
    study = SmallStudy(StudySpec.model_validate(STUDY), spec_digest="sha256:aa")
    study.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    world = StudyWorld()
    while (answer := study.answer) is None:
        (action,) = study.actions()
        assert isinstance(action, Start)
        study.apply(Started(request=action.request))
        result = world.measure(action.request)
        study.apply(Result(request_id=action.request.id, result=result))
    return answer


def lengthened(findings: StudyFindings, points: int) -> StudyFindings:
    """The same findings, with curves of so many points whose minimum is amid them."""
    arms = []
    for arm in findings.arms:
        runs = []
        for run in arm.runs:
            assert run.minimum is not None
            first = run.points[0]
            curve = tuple(first.model_copy(update={"step": step}) for step in range(points))
            minimum = run.minimum.model_copy(update={"step": points // 2 + 1})
            runs.append(run.model_copy(update={"points": curve, "minimum": minimum}))
        arms.append(arm.model_copy(update={"runs": tuple(runs)}))
    return findings.model_copy(update={"arms": tuple(arms)})


def test_a_summary_says_what_the_findings_say(findings: StudyFindings) -> None:
    """Claims, arms over their seeds and what it cost are the same; single runs are counted."""
    summary = summarise(findings)
    assert (summary.claims, summary.device) == (findings.claims, findings.device)
    for short, arm in zip(summary.arms, findings.arms, strict=True):
        assert (short.runs, short.summary) == (len(arm.runs), arm.summary)


def test_a_summary_does_not_grow_with_the_curves(findings: StudyFindings) -> None:
    """Longer training makes the findings larger and leaves the summary as it is."""
    assert summarise(lengthened(findings, 5000)) == summarise(findings)


def test_short_curves_are_kept_whole(findings: StudyFindings) -> None:
    """Up to the limit nothing is changed, and nothing is said."""
    long = lengthened(findings, 100)
    assert bounded(long, most_points=400) == long


def test_long_curves_are_thinned_and_that_is_said(findings: StudyFindings) -> None:
    """Both ends and the minimum stay, the limit is kept to, and a caution names both numbers."""
    long = lengthened(findings, 1000)
    short = bounded(long, most_points=400)
    runs = [run for arm in short.arms for run in arm.runs]
    assert sum(len(run.points) for run in runs) <= 400 + len(runs)
    for run in runs:
        steps = [point.step for point in run.points]
        assert (steps[0], steps[-1]) == (0, 999)
        assert run.minimum is not None
        assert run.minimum.step in steps
    (caution,) = short.warnings
    assert caution.code == THINNED
    assert "4,000" in caution.detail


def test_a_curve_always_keeps_some_points(findings: StudyFindings) -> None:
    """However many runs there are, each can still be drawn."""
    runs = [
        run for arm in bounded(lengthened(findings, 1000), most_points=4).arms for run in arm.runs
    ]
    assert min(len(run.points) for run in runs) >= FEWEST_RUN_POINTS // 2


def test_what_json_cannot_hold_is_not_measured(findings: StudyFindings) -> None:
    """A loss that is not a number is stored as null, and what is stored can be read back."""
    long = lengthened(findings, 3)
    arm = long.arms[0]
    point = arm.runs[0].points[0].model_copy(update={"train_loss": math.nan})
    assert isinstance(point, StudyPoint)
    run = arm.runs[0].model_copy(update={"points": (point,)})
    arms = (arm.model_copy(update={"runs": (run,)}), *long.arms[1:])
    stored = kept(long.model_copy(update={"arms": arms}))
    text = json.dumps(stored.findings, allow_nan=False)
    back = StudyFindings.model_validate_json(text)
    assert back.arms[0].runs[0].points[0].train_loss is None
