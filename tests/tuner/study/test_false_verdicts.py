"""Over many whole studies, wrong verdicts are as rare as the correction promises."""

from __future__ import annotations

import math

import pytest

from tuner.deciding.study.claims import REGISTRY
from tuner.study_findings import ClaimFound
from tuner.study_run import run_study

from .world import StudyWorld, make_study

pytestmark = pytest.mark.full

STUDIES = 200

OCTAVES = math.log(16.0)

SCATTER = 0.08

ABSENT = {
    "higher_minimum_loss",
    "closer_to_start",
    "smaller_updates",
    "flatter_by_keskar",
    "flatter_by_manifold",
    "flatter_by_eigenvalue",
    "accuracy_lost",
    "wider_generalisation_gap",
    "best_loss_is_elsewhere",
    "more_epochs",
}
"""Claims of something that a world without any law of the batch does not have."""


def study(number: int, world: StudyWorld) -> dict[str, ClaimFound]:
    """The claims of one of many studies, by code."""
    spec = make_study(seed=number, figures={"landscape_points": 0}, patience_epochs=2)
    found = run_study(spec, measure=world.measure)
    return {claim.code: claim for claim in found.claims}


def most(share: float) -> float:
    """The most that a share may be seen to be, three standard errors above it."""
    return share + 3.0 * math.sqrt(share * (1.0 - share) / STUDIES)


@pytest.fixture(scope="module")
def lawless() -> list[dict[str, ClaimFound]]:
    """Studies of a world where the batch changes nothing but time."""
    world = StudyWorld(epochs=8.0, scatter=SCATTER, seed_scatter=0.2)
    return [study(number, world) for number in range(STUDIES)]


def test_what_is_not_there_is_not_found(lawless: list[dict[str, ClaimFound]]) -> None:
    """In at most one study of twenty any claim holds of an effect that is not there."""
    wrong = [any(claims[code].verdict == "holds" for code in ABSENT) for claims in lawless]
    assert sum(wrong) / STUDIES <= most(0.05)


def test_all_intervals_of_a_study_cover_their_truths(lawless: list[dict[str, ClaimFound]]) -> None:
    """In at most one study of twenty any interval misses the truth, which is 0 here."""
    zero = ABSENT - {"best_loss_is_elsewhere", "accuracy_lost", "wider_generalisation_gap"}
    zero -= {"more_epochs"}  # whole epochs and e to a normal have means beside 0
    missed = [
        any(not claims[code].low <= 0.0 <= claims[code].high for code in zero) for claims in lawless
    ]
    assert sum(missed) / STUDIES <= most(0.05)


def test_what_is_on_the_edge_is_seldom_decided() -> None:
    """Where every effect is just as large as matters, few studies decide any of them."""
    smallest = {claim.code: claim.smallest_effect for claim in REGISTRY}
    edges = {"higher_minimum_loss", "closer_to_start", "flatter_by_keskar"}
    world = StudyWorld(
        epochs=8.0,
        scatter=SCATTER,
        loss_power=smallest["higher_minimum_loss"] / OCTAVES,
        distance_power=smallest["closer_to_start"] / OCTAVES,
        sharpness_power=smallest["flatter_by_keskar"] / OCTAVES,
    )
    decided = [
        any(claims[code].verdict != "cannot_be_told" for code in edges)
        for claims in (study(number, world) for number in range(STUDIES))
    ]
    assert sum(decided) / STUDIES <= most(0.05)
