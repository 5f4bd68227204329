"""Confirmation: rounds, who is dropped, what is chosen, and what its interval holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.confirm.simulation import Law, Simulation
from tuner.deciding.comparison import Contender
from tuner.deciding.rounds import LAYOUTS, Layout, ranked, standing
from tuner.deciding.score import Observation


def _contender(*scores: float | None) -> Contender:
    """One with these scores by seed; None where a seed was not run, infinity for a miss."""
    return Contender(
        global_batch_size=8,
        learning_rate=0.1,
        runs=tuple(None if score is None else _observation(score) for score in scores),
    )


def _observation(score: float) -> Observation:
    kind, known = ("complete", score) if math.isfinite(score) else ("censored", 3.0)
    return Observation(global_batch_size=8, learning_rate=0.1, kind=kind, score=known, run=None)


def test_layouts_are_ordered_by_what_they_cost() -> None:
    """The most wanted layout costs most, none costs more than fifteen runs, two end the list."""
    runs = [shape.runs for shape in LAYOUTS]
    assert runs == sorted(runs, reverse=True)
    assert runs[0] == 15
    assert runs[-1] == 2
    assert all(shape.seeds >= shape.rounds for shape in LAYOUTS)
    assert all(shape.rounds >= 2 for shape in LAYOUTS)


def test_only_complete_rounds_count() -> None:
    """A seed that one contender has not run yet says nothing of any."""
    contenders = [_contender(1.0, 1.0, 9.0), _contender(1.2, 1.1, None)]
    now = standing(contenders, 4)
    assert now.rounds == 2
    assert now.alive == (0, 1)


def test_a_dropped_rival_stays_dropped() -> None:
    """Seeds that were slow for the others, after it was dropped, do not bring a rival back."""
    best = _contender(1.0, 1.1, 1.05, 3.0, 3.1)
    slower = _contender(1.5, 1.61, 1.54, None, None)
    even = _contender(1.1, 1.05, 1.05, 3.1, 3.05)
    now = standing([slower, even, best], 5)
    assert now.dropped == (0,)
    assert set(now.alive) == {1, 2}
    assert slower.expected < best.expected
    assert ranked([slower, even, best])[-1] is slower


def test_a_miss_on_further_seeds_counts() -> None:
    """What was ahead after the rounds yields to a rival that always got there, if it misses."""
    ahead = _contender(1.0, 1.2, 1.1, 1.1, math.inf)
    rival = _contender(1.1, 1.1, 1.2, None, None)
    assert standing([ahead, rival], 5).alive == (0, 1)
    assert ranked([ahead, rival])[0] is rival


def test_the_chosen_one_ends_with_the_seeds_that_were_planned() -> None:
    """Whoever was dropped and when, the number of seeds behind the answer is the same."""
    draws = Simulation(Law(scatter=0.1, gap=0.3, stuck=0.0), 1).draws(30)
    assert {int(np.sum(~np.isnan(one.scores[one.chosen]))) for one in draws} == {6}
    assert any(one.dropped == 2 for one in draws)
    assert all(one.runs <= 12 for one in draws)


def test_rivals_run_only_the_rounds() -> None:
    """Three equal finalists take three rounds; the three further seeds belong to one of them."""
    one = next(
        one for one in Simulation(Law(scatter=0.2, stuck=0.0), 2).draws(20) if not one.dropped
    )
    assert sorted(np.sum(~np.isnan(one.scores), axis=1)) == [3, 3, 6]
    assert one.rounds == 3


def test_a_small_budget_keeps_its_shape() -> None:
    """Eight runs are three finalists for two rounds, and two seeds more."""
    one = Simulation(Law(scatter=0.05, affords=8, stuck=0.0), 3).draws(1)[0]
    assert one.scores.shape == (3, 4)
    assert one.runs == 8


def test_sharpness_chooses_before_the_further_seeds() -> None:
    """What sharpness prefers is what the further seeds are spent on."""
    law = Law(scatter=0.16, stuck=0.0, sharpness=True)
    flat = [one for one in Simulation(law, 4).draws(40) if one.by_sharpness]
    assert flat
    for one in flat:
        ran = np.sum(~np.isnan(one.scores), axis=1)
        assert ran[one.chosen] == max(ran)


@pytest.mark.parametrize("tolerance", [0.0, 0.03])
def test_sharpness_breaks_ties_where_that_was_asked_for(tolerance: float) -> None:
    """With a tolerance, zero included, some answers are the flatter of what time cannot tell."""
    law = Law(scatter=0.16, stuck=0.0, sharpness=True)
    assert any(one.by_sharpness for one in Simulation(law, 4, tolerance=tolerance).draws(40))


def test_sharpness_decides_nothing_unless_asked() -> None:
    """Without a tolerance the fastest is taken, whatever is flatter, run for run as if blind."""
    law = Law(scatter=0.16, stuck=0.0, sharpness=True)
    asked = Simulation(law, 4, tolerance=0.0).draws(40)
    draws = Simulation(law, 4, tolerance=None).draws(40)
    assert not any(one.by_sharpness for one in draws)
    for one, other in zip(draws, asked, strict=True):
        assert other.by_sharpness or one.chosen == other.chosen


def test_there_is_no_interval_where_a_run_missed() -> None:
    """An answer with a miss has no ends; one without has both."""
    draws = Simulation(Law(scatter=0.16, stuck=0.3), 5).draws(60)
    assert any(one.missed for one in draws)
    for one in draws:
        assert one.missed == math.isnan(one.low) == math.isnan(one.high)


def test_the_interval_holds_what_was_chosen_among_rivals() -> None:
    """With selection, dropping and misses, about 95 % of the intervals hold the chosen's mean."""
    draws = Simulation(Law(scatter=0.16), 7).draws(400)
    offered = [one for one in draws if not math.isnan(one.low)]
    held = np.mean([one.low <= one.truth <= one.high for one in offered])
    assert 0.93 <= held <= 0.97
    assert len(offered) >= 0.95 * len(draws)


def test_further_seeds_shorten_the_interval() -> None:
    """For as many runs, four rounds and three further seeds beat five rounds by a fifth."""
    law = Law(scatter=0.16, stuck=0.0)
    rounds = (Layout(finalists=3, rounds=5, seeds=5),)
    kept = Simulation(law, 8).draws(60)
    five = Simulation(law, 8, rounds).draws(60)
    widths = [np.mean([one.high - one.low for one in some]) for some in (kept, five)]
    assert widths[0] < 0.8 * widths[1]
