"""The samplers: what Optuna may ask of them, and what the tuning asks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import optuna
import pytest

from tuner.deciding import posterior, sampler
from tuner.deciding.sampler import Question, Space, may_settle, suggest
from tuner.deciding.sampling.acquisition import choose, expected_improvement
from tuner.deciding.sampling.physics_gp import PhysicsGPSampler, stop_when_settled
from tuner.deciding.sampling.space import REACH, candidates, known, narrow, reaches

from .observations import SPACE, make_prior, trial

PRIOR = make_prior()
BASE = PRIOR.score(64, 0.05)
SAMPLERS = pytest.mark.parametrize("name", sorted(sampler.SAMPLERS))


def _question(**parts) -> Question:
    known_parts = {
        "prior": PRIOR,
        "space": SPACE,
        "observations": (trial(64, 0.05, BASE),),
        "running": (),
        "seed": 1,
        "index": 7,
    }
    return Question(**(known_parts | parts))


def _truth(batch: int, rate: float) -> float:
    """A known law: ln T, with its best rate at half of the prior's, growing more slowly."""
    best = 0.025 * (batch / 64.0) ** 0.5
    steps = 300.0 * (1.0 + 120.0 / batch)
    return math.log(steps * PRIOR.step_seconds[batch]) + math.log(rate / best) ** 2


def _objective(trial_: optuna.Trial) -> float:
    batch = SPACE.batches[trial_.suggest_int("batch_index", 0, len(SPACE.batches) - 1)]
    return _truth(batch, trial_.suggest_float("learning_rate", SPACE.low, SPACE.high, log=True))


def _best() -> float:
    rates = np.geomspace(SPACE.low, SPACE.high, 400)
    return min(_truth(batch, float(rate)) for batch in SPACE.batches for rate in rates)


def test_a_study_of_optuna_is_driven_to_the_optimum_and_stops() -> None:
    """`study.optimize` comes within 3 % of the best time, and stops when no trial is worth it."""
    study = optuna.create_study(sampler=PhysicsGPSampler(prior=PRIOR, space=SPACE))
    study.optimize(_objective, n_trials=60, callbacks=[stop_when_settled])
    assert study.best_value <= _best() + 0.03
    assert len(study.trials) < 60
    assert study.sampler.gain < sampler.WORTH_A_TRIAL


def test_a_study_tells_of_cuts_divergence_and_memory() -> None:
    """Censored values, diverged trials and constraints are read from the study's own trials."""

    def objective(trial_: optuna.Trial) -> float:
        batch = SPACE.batches[trial_.suggest_int("batch_index", 0, len(SPACE.batches) - 1)]
        rate = trial_.suggest_float("learning_rate", SPACE.low, SPACE.high, log=True)
        if batch > 128:
            trial_.set_constraint("memory", 1.0)
            return 0.0
        if rate > 0.2:
            trial_.set_user_attr("kind", "diverged")
            return 0.0
        trial_.set_constraint("memory", -1.0)
        score = _truth(batch, rate)
        if score > limit:
            trial_.set_user_attr("kind", "censored")
        return min(score, limit)

    limit = _truth(64, 0.05)
    study = optuna.create_study(sampler=PhysicsGPSampler(prior=PRIOR, space=SPACE))
    study.optimize(objective, n_trials=16)
    feasible = [
        one.value
        for one in study.trials
        if not any(value > 0 for value in one.constraints.values()) and not one.user_attrs
    ]
    rates = np.geomspace(SPACE.low, SPACE.high, 400)
    best = min(_truth(b, float(rate)) for b in SPACE.batches if b <= 128 for rate in rates)
    assert min(feasible) <= best + 0.05
    assert sum(any(v > 0 for v in one.constraints.values()) for one in study.trials) <= 4


def test_the_sampler_is_a_pure_function_of_its_study() -> None:
    """Two samplers of different seeds, told the same trials, suggest the same point."""
    points = set()
    for seed in (1, 2):
        study = optuna.create_study(sampler=PhysicsGPSampler(prior=PRIOR, space=SPACE, seed=seed))
        study.optimize(_objective, n_trials=4)
        points.add(tuple(sorted(study.ask(study.trials[0].distributions).params.items())))
    assert len(points) == 1


def test_parameters_that_are_not_ours_are_drawn_at_random() -> None:
    """A third parameter of the objective does not keep the sampler from its own two."""
    study = optuna.create_study(sampler=PhysicsGPSampler(prior=PRIOR, space=SPACE, seed=0))
    study.optimize(lambda t: _objective(t) + 0.0 * t.suggest_float("other", 0.0, 1.0), n_trials=3)
    assert len({one.params["other"] for one in study.trials}) == 3
    assert all(0.0 <= one.params["other"] <= 1.0 for one in study.trials)


def test_a_study_that_maximizes_is_refused() -> None:
    """The sampler knows what a small value means, and nothing else."""
    study = optuna.create_study(
        direction="maximize", sampler=PhysicsGPSampler(prior=PRIOR, space=SPACE)
    )
    with pytest.raises(ValueError, match="minimizes"):
        study.ask({"learning_rate": optuna.distributions.FloatDistribution(1e-3, 1.0, log=True)})


@SAMPLERS
def test_an_ask_is_a_pure_function(name: str) -> None:
    """The same question gets the same answer; another index may get another one."""
    seen = (trial(64, 0.05, BASE), trial(128, 0.08, BASE + 0.1), trial(32, 0.03, None, "diverged"))
    question = _question(observations=seen, running=((256, 0.1),))
    assert suggest(question, name) == suggest(replace(question), name)


@SAMPLERS
def test_warm_starts_are_the_best_of_the_prior_at_distinct_batches(name: str) -> None:
    """The first asks try the prior's best batches, each at its expected rate."""
    running: list[tuple[int, float]] = []
    for index in range(3):
        running.append(suggest(_question(running=tuple(running), index=index), name))
    batches = [batch for batch, _ in running]
    assert len(set(batches)) == 3
    assert 64 not in batches
    expected = sorted(set(SPACE.batches) - {64}, key=lambda b: PRIOR.score(b, PRIOR.rate(b)))[:3]
    assert batches == expected
    assert [rate for _, rate in running] == [PRIOR.rate(batch) for batch in batches]


@SAMPLERS
def test_suggestions_stay_inside_and_are_new(name: str) -> None:
    """No suggestion leaves the space or repeats a trial, ended or running."""
    space = Space(batches=(32, 64, 128), low=0.02, high=0.08)
    seen, running = [trial(64, 0.05, BASE)], []
    for index in range(3, 12):
        question = _question(
            space=space, observations=tuple(seen), running=tuple(running), index=index
        )
        point = suggest(question, name)
        if point is None:
            break
        assert point[0] in space.batches
        assert space.low <= point[1] <= space.high
        assert not known(point, question.tried)
        if index % 2:
            running.append(point)
        else:
            seen.append(trial(*point, _truth(*point)))
    assert len(seen) + len(running) > 4


def test_parallel_trials_see_each_other() -> None:
    """What runs is not asked for again: the next point lies elsewhere, and promises less."""
    running: list[tuple[int, float]] = []
    gains = []
    for _ in range(5):
        belief = posterior.fit(PRIOR, [trial(64, 0.05, BASE)], running)
        choice = choose(belief, SPACE, running)
        gains.append(choice.gain)
        assert not known(choice.point, running)
        running.append(choice.point)
    assert gains == sorted(gains, reverse=True)
    assert len({batch for batch, _ in running}) >= 2


def test_the_search_settles_when_nothing_is_worth_a_trial() -> None:
    """Round a plain minimum physics_gp runs out of points that are worth it; TPE never does."""
    space = Space(batches=(64,), low=0.02, high=0.12)
    seen = [trial(64, 0.05, BASE)]
    for index in range(3, 40):
        question = _question(space=space, observations=tuple(seen), index=index)
        point = suggest(question, "physics_gp")
        if point is None:
            break
        seen.append(trial(*point, BASE + 2.0 * math.log(point[1] / 0.05) ** 2))
    assert 2 < len(seen) < 20
    assert point is None
    assert suggest(question, "tpe") is not None
    assert may_settle("physics_gp", 7)
    assert not may_settle("physics_gp", 0)
    assert not may_settle("tpe", 7)


def test_a_space_without_an_untried_point_ends_the_search() -> None:
    """Where every candidate was tried there is nothing to suggest."""
    space = Space(batches=(64,), low=0.05, high=0.0501)
    assert suggest(_question(space=space), "physics_gp") is None


def test_the_reach_widens_where_the_best_lies_on_its_edge() -> None:
    """An optimum far from the prior is followed, to the ends of the space and no further."""
    low_edge = PRIOR.rate(64) * math.exp(-REACH) * 1.1
    assert reaches(PRIOR, None) == reaches(PRIOR, (64, 0.05)) == (REACH, REACH)
    assert reaches(PRIOR, (64, low_edge)) == (2 * REACH, REACH)
    rates = [rate for batch, rate in candidates(PRIOR, SPACE, (64, low_edge)) if batch == 64]
    assert min(rates) == pytest.approx(max(SPACE.low, PRIOR.rate(64) * math.exp(-2 * REACH)))
    assert narrow(PRIOR, SPACE, (64, low_edge)).low == SPACE.low
    assert all(SPACE.low <= rate <= SPACE.high for _, rate in candidates(PRIOR, SPACE))


def test_a_far_optimum_is_found() -> None:
    """A best rate thirty times below the race's is reached by widening."""
    prior = make_prior(learning_rate=0.6, rate_deviation=0.4)
    seen = [trial(64, 0.6, 3.0)]

    def score(batch: int, rate: float) -> float:
        return 3.0 + 0.3 * (math.log(rate / 0.02) ** 2 - math.log(0.6 / 0.02) ** 2) + 0.0 * batch

    for index in range(3, 20):
        point = suggest(_question(prior=prior, observations=tuple(seen), index=index), "physics_gp")
        if point is None:
            break
        seen.append(trial(*point, score(*point)))
    assert min(one.score for one in seen) <= score(64, 0.02) + 0.3


def test_expected_improvement_is_that_of_a_simulation() -> None:
    """The closed form agrees with a million draws."""
    draws = np.random.default_rng(0).normal(1.2, 0.4, 1_000_000)
    gain = expected_improvement(np.array([1.2]), np.array([0.4]), 1.0)[0]
    assert gain == pytest.approx(np.maximum(0.0, 1.0 - draws).mean(), rel=0.01)


def test_a_cheap_point_wins_over_an_equal_dear_one() -> None:
    """Of two batches that promise the same the one that costs less is chosen."""
    prior = make_prior(steps=None)
    belief = posterior.fit(prior, [trial(64, 0.05, 0.0)])
    space = Space(batches=(32, 128), low=1e-3, high=1.0)
    for cheap, dear in ((32, 128), (128, 32)):
        choice = choose(belief, space, [(64, 0.05)], {cheap: 1.0, dear: 20.0})
        assert choice.point[0] == cheap
        assert choice.gain > 0.0
