"""Workloads that cannot be answered well: each ends in an honest answer or a clear failure."""

from __future__ import annotations

import pytest

from tuner.errors import TunerError
from tuner.recommendation import Recommendation
from tuner.records import Request
from tuner.tune import tune

from ..driver import make_spec
from ..world import World

SAMPLERS = pytest.mark.parametrize("sampler", ["tpe", "physics_gp"])


def _answer(world: World, sampler: str, **parts: object) -> Recommendation:
    spec = make_spec(search={"sampler": sampler, "reuse": "never"}, **parts)
    return tune(spec, measure=world.measure)


def _codes(answer: Recommendation) -> set[str]:
    return {one.code for one in answer.warnings}


@SAMPLERS
def test_a_target_of_few_steps_is_said_to_be_too_easy(sampler: str) -> None:
    """Under 200 steps the answer warns that it measures the start of training."""
    answer = _answer(World(steps_minimum=40.0, scatter=0.2), sampler)
    assert answer.steps_to_target is not None
    assert answer.steps_to_target < 200
    assert "target_too_easy" in _codes(answer)


@SAMPLERS
def test_a_target_that_few_seeds_reach_has_no_confident_time(sampler: str) -> None:
    """Where a run missed there is no interval, where none came no time, and both are said."""
    partly = never = 0
    for seed in range(7):
        answer = _answer(World(reaching_share=1 / 3, scatter=0.1), sampler, seed=seed)
        time = answer.time_to_target_seconds
        if answer.evidence == "proxy":
            assert time is None
        if not answer.runs_reached:
            never += 1
            assert answer.target_reached is False
            assert "target_not_reached" in _codes(answer)
        elif answer.runs_reached < answer.runs:
            partly += 1
            assert "target_missed" in _codes(answer)
            assert time is None or (time.low, time.high) == (None, None)
    assert partly
    assert never


@SAMPLERS
def test_an_unresolved_noise_scale_is_said_and_survived(sampler: str) -> None:
    """Without a noise scale the answer names none, and its trials still find a good batch."""
    world = World(resolved=False)
    budget = {"timeout_seconds": 2000, "max_trials": 12}
    answer = _answer(world, sampler, budget=budget)
    assert "noise_scale_unresolved" in _codes(answer)
    assert answer.critical_batch_size is None
    assert answer.time_model is None

    def seconds(batch: int, rate: float) -> float:
        return world.steps(batch, rate, 0) * world.step_seconds(batch, 1)

    best = min(seconds(batch, world.rate(batch)) for batch in (8, 16, 32, 64, 128, 256, 512))
    assert seconds(answer.global_batch_size, answer.learning_rate or 0.0) <= 1.25 * best


@SAMPLERS
def test_a_reached_target_is_compared_by_however_few_trials_fit(sampler: str) -> None:
    """A budget for one trial beside the race still compares times to the target, no proxy."""
    answer = _answer(World(), sampler, budget={"timeout_seconds": 48.0, "max_trials": 12})
    assert 1 <= answer.spending.search_trials < 4
    assert answer.evidence == "full"
    assert answer.target_reached


@SAMPLERS
def test_rates_that_are_all_too_low_reach_nothing_and_say_so(sampler: str) -> None:
    """The answer is a proxy, its target is not reached, and the edge of the range is named."""
    rates = {"learning_rate": {"low": 1e-7, "high": 1e-6}}
    answer = _answer(World(steps_minimum=3000.0), sampler, search_space=rates)
    assert answer.evidence == "proxy"
    assert answer.target_reached is False
    assert answer.time_to_target_seconds is None
    assert {"target_not_reached", "proxy_evidence", "learning_rate_at_edge"} <= _codes(answer)


@SAMPLERS
def test_rates_that_are_all_too_high_are_a_failure(sampler: str) -> None:
    """Where every rate diverges, there is no answer, and the problem points at the range."""
    rates = {"learning_rate": {"low": 10.0, "high": 100.0}}
    with pytest.raises(TunerError) as caught:
        _answer(World(), sampler, search_space=rates)
    assert caught.value.problem.code == "all_runs_diverged"
    assert caught.value.problem.pointer == "/search_space/learning_rate"


@SAMPLERS
def test_the_edge_of_the_rates_is_named_and_never_crossed(sampler: str) -> None:
    """Where better rates lie beyond the range, the answer stays inside and says so."""
    rates = {"learning_rate": {"low": 1e-4, "high": 0.004}}
    answer = _answer(World(), sampler, search_space=rates)
    assert answer.learning_rate is not None
    assert answer.learning_rate <= 0.004 * (1.0 + 1e-9)
    assert "learning_rate_at_edge" in _codes(answer)


@SAMPLERS
def test_runs_that_diverge_after_the_rungs_are_a_failure(sampler: str) -> None:
    """Rates that hold for the race and diverge on the long run leave no answer."""
    with pytest.raises(TunerError) as caught:
        _answer(World(steps_minimum=1500.0, diverges_after=850), sampler)
    assert caught.value.problem.code == "all_runs_diverged"


@SAMPLERS
def test_a_search_of_which_every_trial_diverges_is_a_failure(sampler: str) -> None:
    """Where nothing of the search can be compared, no rate is recommended."""
    world = World(steps_minimum=3000.0)

    def measure(request: Request):
        world.diverges_after = 5 if request.id.startswith("search") else None
        return world.measure(request)

    spec = make_spec(search={"sampler": sampler}, budget={"timeout_seconds": 60.0})
    with pytest.raises(TunerError) as caught:
        tune(spec, measure=measure)
    assert caught.value.problem.code == "all_runs_diverged"
    assert caught.value.problem.pointer == "/search_space/learning_rate"


@SAMPLERS
def test_a_search_that_is_stopped_before_its_first_trial_names_no_rate(sampler: str) -> None:
    """A proxy whose budget ends before a trial has ended leaves the rate null, and says so."""
    world, clock = World(steps_minimum=3000.0), [0.0]

    def measure(request: Request):
        if request.id == "race-reference-0":
            clock[0] = 59.0
        if request.id == "search-0":
            clock[0] = 1e6
            world.diverges_after = 5
        return world.measure(request)

    spec = make_spec(search={"sampler": sampler}, budget={"timeout_seconds": 60.0})
    answer = tune(spec, measure=measure, clock=lambda: clock[0])
    assert answer.learning_rate is None
    assert {"learning_rate_not_tuned", "budget_exhausted"} <= _codes(answer)


@SAMPLERS
def test_a_budget_too_small_for_the_race_names_no_rate(sampler: str) -> None:
    """Where not even the race fits, the answer is of the throughput alone."""
    answer = _answer(World(), sampler, budget={"timeout_seconds": 8.0})
    assert answer.evidence == "throughput_only"
    assert answer.learning_rate is None
    assert "learning_rate_not_tuned" in _codes(answer)
