"""Claims against worlds in which the truth is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.charts.figures import showing
from tuner.deciding.study.claims import REGISTRY
from tuner.deciding.study.claims.claim import MIN_SEEDS, SAID, Claim, Direction, judge, told
from tuner.deciding.study.statistics import share_interval
from tuner.records import Measurement, Request, TimingMeasurement
from tuner.study_findings import ClaimFound
from tuner.study_run import run_study

from .world import StudyWorld, make_study

PAGE = (Path(__file__).parents[3] / "docs" / "batch-size-study.md").read_text(encoding="utf-8")

OCTAVES = math.log(16.0)
"""ln of the largest batch over the smallest one."""

PLAIN = {"landscape_points": 0}
GRID = {"kind": "grid", "learning_rates": [0.1, 1.6]}


def claims_of(world: StudyWorld, **parts: object) -> dict[str, ClaimFound]:
    """The claims of a study in a world, by code."""
    found = run_study(make_study(figures=PLAIN, **parts), measure=world.measure)
    return {claim.code: claim for claim in found.claims}


def published() -> StudyWorld:
    """A world in which everything is as the literature says."""
    return StudyWorld(
        epochs=20.0,
        loss_power=0.05,
        epochs_power=0.6,
        distance_power=0.3,
        update_power=0.3,
        sharpness_power=0.4,
        accuracy_power=0.1,
        scatter=0.001,
        hottest=1.01,
    )


def opposite() -> StudyWorld:
    """A world in which the larger batch has it better in everything."""
    return StudyWorld(
        epochs=40.0,
        loss_power=-0.05,
        epochs_power=-0.3,
        distance_power=-0.3,
        update_power=-0.3,
        sharpness_power=-0.4,
        accuracy_power=-0.1,
        variance_exponent=-0.5,
        scatter=0.001,
        hottest=1.01,
    )


AT_ONE_RATE = {
    "higher_minimum_loss",
    "more_epochs",
    "slower_training_per_epoch",
    "further_per_epoch",
    "further_per_step",
    "closer_to_start",
    "closer_in_all_layers",
    "less_distance_per_epoch",
    "smaller_updates",
    "flatter_by_keskar",
    "flatter_by_manifold",
    "flatter_by_eigenvalue",
    "flatter_along_line",
    "sharp_means_large_eigenvalues",
    "accuracy_lost",
}


def test_published_truths_hold() -> None:
    """Where the literature is right in everything, every such claim is found to hold."""
    claims = claims_of(published(), seeds=8)
    told_apart = AT_ONE_RATE | {"shorter_epoch", "diminishing_returns"}
    told_apart |= {"variance_falls_as_inverse", "mean_gradient_unchanged", "shorter_gradients"}
    verdicts = {code: claims[code].verdict for code in told_apart}
    assert set(verdicts.values()) == {"holds"}, verdicts


def test_opposite_truths_do_not_hold() -> None:
    """Where the larger batch has it better, no claim against it holds."""
    claims = claims_of(opposite(), seeds=8)
    wrong = AT_ONE_RATE - {"further_per_step", "sharp_means_large_eigenvalues"}
    verdicts = {code: claims[code].verdict for code in wrong | {"variance_falls_as_inverse"}}
    assert set(verdicts.values()) == {"does_not_hold"}, verdicts


@pytest.mark.parametrize(
    ("code", "truth"),
    [
        ("higher_minimum_loss", 0.05 * OCTAVES),
        ("closer_to_start", -0.3 * OCTAVES),
        ("smaller_updates", -0.3 * OCTAVES),
        ("flatter_by_keskar", 0.4 * OCTAVES),
        ("flatter_by_eigenvalue", 0.4 * OCTAVES),
        ("flatter_along_line", (16**0.4 - 1.0) / (16**0.4 + 1.0)),
        ("accuracy_lost", 0.1 * (16**0.1 - 1.0)),
        ("variance_falls_as_inverse", 0.0),
        ("mean_gradient_unchanged", 0.0),
    ],
)
def test_effects_are_the_truth(code: str, truth: float) -> None:
    """An effect is what the laws of the world make it."""
    assert claims_of(published())[code].effect == pytest.approx(truth, abs=0.01)


def test_scaling_is_judged_where_both_rates_were_used() -> None:
    """A grid with the scaled rate tells what scaling repairs, and what it does not."""
    claims = claims_of(published(), learning_rate=GRID, seeds=8)
    codes = ("removes_gap", "reverses_time", "nears_distance", "flattens")
    assert {claims[f"scaling_{code}"].verdict for code in codes} == {"holds"}
    assert claims["scaling_is_not_as_flat"].verdict == "does_not_hold"
    gap = claims["scaling_removes_gap"].effect
    assert gap == pytest.approx(0.5 * (16**0.05 - 1.0), abs=0.01)


def test_a_linear_rule_tells_time_but_not_the_gap() -> None:
    """Without runs at the fixed rate the gap cannot be told; the way out is named."""
    rule = {"kind": "linear", "learning_rate": 0.1, "at_batch_size": 16}
    claims = claims_of(published(), learning_rate=rule, seeds=8)
    assert claims["scaling_reverses_time"].verdict == "holds"
    for code in ("scaling_removes_gap", "higher_minimum_loss"):
        assert claims[code].verdict == "cannot_be_told"
        assert "grid" in claims[code].why


def test_the_optimum_in_time_is_inside_or_not() -> None:
    """It is found inside where the laws put it there, and not where they do not."""
    inside = claims_of(StudyWorld(epochs=100.0, epochs_power=0.5, scatter=0.001))
    assert inside["best_time_is_inside"].verdict == "holds"
    assert inside["best_loss_is_elsewhere"].verdict == "does_not_hold"
    at_the_end = claims_of(StudyWorld(epochs=100.0, scatter=0.001))
    assert at_the_end["best_time_is_inside"].verdict == "does_not_hold"


def test_the_best_loss_may_be_elsewhere() -> None:
    """Where the quickest batch ends higher, the two optima differ."""
    claims = claims_of(StudyWorld(loss_power=0.1, scatter=0.001))
    assert claims["best_loss_is_elsewhere"].verdict == "holds"


@pytest.mark.parametrize(("full_loss", "verdict"), [(0.3, "holds"), (0.5, "does_not_hold")])
def test_the_full_batch_works_or_not(full_loss: float, verdict: str) -> None:
    """It is judged against the best mini-batch, with a tenth of the loss to give up."""
    world = StudyWorld(full_loss=full_loss, scatter=0.001)
    claims = claims_of(world, full_batch={"kind": "rprop"})
    assert claims["full_batch_works"].verdict == verdict


def test_few_seeds_tell_nothing() -> None:
    """Below five seeds no claim has a verdict, and each says how to get one."""
    claims = claims_of(published(), seeds=MIN_SEEDS - 1)
    assert {claim.verdict for claim in claims.values()} == {"cannot_be_told"}
    assert "Raise seeds" in claims["higher_minimum_loss"].why


def test_claims_for_other_machines_are_listed() -> None:
    """What needs several devices is named, and said to be untold."""
    claims = claims_of(published())
    for code in ("parallel_epochs", "parallel_does_not_rescue"):
        assert claims[code].verdict == "cannot_be_told"
        assert "several" in claims[code].why


def test_intervals_are_widened_for_the_claims_that_were_tested() -> None:
    """The level counts those claims, and only those, that had enough seeds."""
    claims = claims_of(published())
    tested = sum(claim.seeds >= MIN_SEEDS for claim in claims.values())
    assert {claim.confidence for claim in claims.values()} == {1.0 - 0.05 / tested}
    assert 10 < tested < len(REGISTRY)


@pytest.mark.parametrize(
    ("direction", "low", "high", "verdict"),
    [
        (Direction.MORE, 0.2, 0.3, "holds"),
        (Direction.MORE, 0.0, 0.3, "cannot_be_told"),
        (Direction.MORE, -0.05, 0.05, "does_not_hold"),
        (Direction.MORE, -0.3, -0.2, "does_not_hold"),
        (Direction.LESS, -0.3, -0.2, "holds"),
        (Direction.LESS, -0.3, 0.0, "cannot_be_told"),
        (Direction.LESS, -0.05, 0.3, "does_not_hold"),
        (Direction.SAME, -0.05, 0.05, "holds"),
        (Direction.SAME, -0.05, 0.3, "cannot_be_told"),
        (Direction.SAME, 0.2, 0.3, "does_not_hold"),
        (Direction.SAME, -0.3, -0.2, "does_not_hold"),
        (Direction.AT_MOST, -0.3, 0.05, "holds"),
        (Direction.AT_MOST, 0.0, 0.3, "cannot_be_told"),
        (Direction.AT_MOST, 0.2, 0.3, "does_not_hold"),
    ],
)
def test_a_verdict_needs_the_whole_interval(
    direction: Direction, low: float, high: float, verdict: str
) -> None:
    """All of the interval on one side of what matters decides; anything else does not."""
    assert judge(low, high, direction, 0.1) == verdict


def test_shares_have_exact_intervals() -> None:
    """No failure in five seeds does not prove that there is none; five of five prove many."""
    assert claims_of(published())["too_small_fails"].verdict == "cannot_be_told"
    low = share_interval([1.0] * 5, 0.95)[1]
    assert low == pytest.approx(0.025 ** (1 / 5))
    share, low, high = share_interval([0.0, 1.0, 0.0, 1.0], 0.95)
    assert share == 0.5
    assert low == pytest.approx(1.0 - high)


@pytest.mark.parametrize("claim", REGISTRY, ids=lambda claim: claim.code)
def test_the_page_says_what_a_claim_is(claim: Claim) -> None:
    """The page for people lists every claim with its measure and its smallest effect."""
    row = next(line for line in PAGE.splitlines() if f"`{claim.code}`" in line)
    cells = [cell.replace("&#124;", "|").strip() for cell in row.strip("|").split(" | ")]
    said = SAID[claim.direction].format(claim.smallest_effect)
    assert cells == [f"{claim.statement} `{claim.code}`", claim.measure, said]


CODES = {claim.code: claim for claim in REGISTRY}


def test_codes_are_unique() -> None:
    """Every claim has a code of its own, a reason for its smallest effect, and a figure."""
    assert len(CODES) == len(REGISTRY)
    assert all(claim.reason and claim.figure and claim.smallest_effect > 0 for claim in REGISTRY)
    assert showing("no-such-figure", ()) is None


def drawn(claim: Claim, truth: float, seeds: int, studies: int) -> list[ClaimFound]:
    """What is found of a claim whose effects are normal about a truth, in many studies."""
    rng = np.random.default_rng(7)
    effects = rng.normal(truth, 0.05, size=(studies, seeds))
    return [told(claim, tuple(map(float, row)), tested=1) for row in effects]


@pytest.mark.parametrize("seeds", [5, 12])
def test_intervals_cover_the_truth_as_often_as_they_say(seeds: int) -> None:
    """At 95 %, the truth is inside in 95 of 100 studies, within three standard errors."""
    found = drawn(CODES["higher_minimum_loss"], 0.02, seeds, 4000)
    inside = np.mean([one.low <= 0.02 <= one.high for one in found])
    assert inside == pytest.approx(0.95, abs=3.0 * math.sqrt(0.95 * 0.05 / 4000))


@pytest.mark.parametrize("code", ["higher_minimum_loss", "closer_to_start"])
def test_on_the_edge_wrong_verdicts_are_as_rare_as_promised(code: str) -> None:
    """An effect exactly as large as matters gets each verdict in 2.5 of 100 studies."""
    claim = CODES[code]
    sign = 1.0 if claim.direction is Direction.MORE else -1.0
    verdicts = [one.verdict for one in drawn(claim, sign * claim.smallest_effect, 5, 4000)]
    for verdict in ("holds", "does_not_hold"):
        share = verdicts.count(verdict) / len(verdicts)
        assert share == pytest.approx(0.025, abs=3.0 * math.sqrt(0.025 * 0.975 / 4000))


@pytest.mark.parametrize("code", ["scaling_reverses_time", "best_time_is_inside"])
def test_calibrated_seconds_are_no_surer_than_their_step_times(code: str) -> None:
    """Seeds that agree on a ratio of times do not make up for a machine that was busy."""
    claim = next(claim for claim in REGISTRY if claim.code == code)
    effects = tuple(0.2 + 0.001 * seed for seed in range(MIN_SEEDS))
    effects = effects if claim.direction is Direction.MORE else tuple(-each for each in effects)
    assert told(claim, effects, tested=1).verdict == "holds"
    assert told(claim, effects, tested=1, timing_spread=0.02).verdict == "holds"
    busy = told(claim, effects, tested=1, timing_spread=0.27)
    assert busy.verdict == "cannot_be_told"
    assert busy.low is not None
    assert busy.high is not None
    assert busy.high - busy.low > 4.0 * math.log1p(0.27)


def intervals_of(spread: float) -> dict[str, tuple[float | None, float | None]]:
    """The intervals of all claims where step times differ by so much between windows."""
    world = StudyWorld(scatter=0.01, hottest=1.01)

    def measure(request: Request) -> Measurement:
        measured = world.measure(request)
        if not isinstance(measured, TimingMeasurement):
            return measured
        passes = tuple(replace(one, spread=spread) for one in measured.passes)
        return replace(measured, passes=passes)

    found = run_study(make_study(figures=PLAIN, learning_rate=GRID), measure=measure)
    return {claim.code: (claim.low, claim.high) for claim in found.claims}


def test_a_busy_machine_costs_claims_about_time_alone() -> None:
    """Where step times scatter, only intervals of ratios of calibrated seconds are wider."""
    quiet, busy = intervals_of(0.0), intervals_of(0.3)
    changed = {code for code, ends in quiet.items() if ends != busy[code]}
    assert changed == {claim.code for claim in REGISTRY if claim.is_timed}


def test_an_interval_ends_where_its_measure_does() -> None:
    """A rank correlation is never said to be beyond one."""
    claim = next(one for one in REGISTRY if one.code == "sharp_means_large_eigenvalues")
    found = told(claim, (0.9, -0.9, 0.9, -0.9, 0.9), tested=30)
    assert (found.low, found.high) == (-1.0, 1.0)
    assert found.verdict == "cannot_be_told"
