"""The search as a stage: limits, settling, finalists, and how well it finds."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from tuner.deciding.limits import SEARCH_LIMIT
from tuner.deciding.posterior import fit
from tuner.deciding.prior import prior_of
from tuner.deciding.scatter import BOUNDS, trial_noise
from tuner.deciding.search import FINALISTS, SAME_FINALIST, observations, rank
from tuner.records import Started, TrainingRun
from tuner.tune import tune
from tuner.tuning import Tuning

from ..driver import Driver, make_spec, replay
from ..world import World
from .observations import make_prior, trial

SAMPLERS = pytest.mark.parametrize("sampler", ["tpe", "physics_gp"])


def _spec(sampler: str, trials: int = 12, seed: int = 0, **parts):
    return make_spec(
        search={"sampler": sampler, "reuse": "never"},
        budget={"timeout_seconds": 5000, "max_trials": trials} | parts,
        seed=seed,
    )


def _search(world: World, spec):
    seen = []
    answer = tune(spec, measure=world.measure, on_event=lambda t, _: seen.append(t))
    return answer, seen[-1].job


def _seconds(world: World, batch: int, rate: float) -> float:
    calm = World(best_rate=world.best_rate, critical=world.critical)
    return calm.steps(batch, rate, 0) * calm.step_seconds(batch, 1)


@SAMPLERS
def test_limits_follow_the_expected_best_not_the_luckiest(sampler: str) -> None:
    """Each trial is cut at 1.3 times the posterior's incumbent of the trials before it."""
    spec = _spec(sampler)
    tuning, world = Tuning(spec), World(scatter=0.1, own_scatter=0.15)
    driver = Driver(tuning=tuning, world=world, rng=random.Random(0))
    limits = []

    def look(event) -> None:
        request = getattr(event, "request", None)
        if isinstance(event, Started) and request.id.startswith("search"):
            job, plan = tuning.job, tuning.job.findings.plan
            seen = observations(job, plan.goal)
            belief = fit(prior_of(job, plan.goal), seen, noise=trial_noise(job, plan.goal))
            seconds = job.findings.timing.step_seconds[request.plan.global_batch_size]
            limits.append((request.max_steps * seconds, belief.incumbent, seconds))
        tuning_apply(event)

    tuning_apply, tuning.apply = tuning.apply, look
    driver.run(1)
    assert len(limits) >= 6
    for limit, incumbent, seconds in limits:
        assert limit <= SEARCH_LIMIT * math.exp(incumbent) + seconds


def test_the_search_ends_early_where_nothing_is_worth_a_trial() -> None:
    """physics_gp leaves planned trials undone, and the answer says how many it took."""
    answer, job = _search(World(), _spec("physics_gp", trials=60))
    assert job.findings.search.trials < 60
    said = [one for one in answer.warnings if one.code == "search_settled"]
    assert len(said) == 1
    assert f"after {job.findings.search.trials} of 60" in said[0].detail
    other, _ = _search(World(), _spec("physics_gp", trials=6))
    assert "search_settled" not in {one.code for one in other.warnings}


def test_a_settled_search_replays_and_ends_in_parallel() -> None:
    """With several slots and lost attempts the search settles to the same state on replay."""
    for seed in range(3):
        spec = _spec("physics_gp", trials=40, seed=seed, parallel_trials=3)
        driver = Driver(
            tuning=Tuning(spec),
            world=World(scatter=0.1, own_scatter=0.05),
            rng=random.Random(seed),
            loss_share=0.1,
        )
        driver.run(3)
        again = replay(spec, driver.sequence)
        assert again.answer == driver.tuning.answer
        assert again.answer is not None
        started = [e.request for e in driver.sequence if isinstance(e, Started)]
        points = {
            (one.plan, one.learning_rate)
            for one in started
            if isinstance(one, TrainingRun) and one.id.startswith("search")
        }
        assert len(points) == again.job.findings.search.trials


@SAMPLERS
@pytest.mark.parametrize("count", [3, 15])
def test_a_count_of_rates_is_kept_to(sampler: str, count: int) -> None:
    """Race, search and answer try no other rates; fewer than eight make a smaller race."""
    given = {"learning_rate": {"low": 0.004, "high": 4.0, "count": count}}
    spec = make_spec(
        search={"sampler": sampler, "reuse": "never"},
        budget={"timeout_seconds": 5000, "max_trials": 12},
        search_space=given,
    )
    answer, job = _search(World(scatter=0.1, own_scatter=0.05), spec)
    allowed = spec.learning_rates.values
    assert len(allowed) == count
    runs = [one.request for one in job.history.runs("race") + job.history.runs("search")]
    assert {one.learning_rate for one in runs} <= set(allowed)
    assert answer.learning_rate in allowed
    first = [one.id for one in runs if one.id.startswith("race-0-")]
    assert len(first) == min(count, 8)


@SAMPLERS
def test_rates_move_where_the_race_was_wrong(sampler: str) -> None:
    """In a world whose rates do not follow the rule, the best finalist is still close."""

    class Flat(World):
        """The same best rate at every batch."""

        def rate(self, batch: int) -> float:
            return self.best_rate

    world = Flat(scatter=0.05)
    _, job = _search(world, _spec(sampler, trials=14))
    best = min(
        world.steps_minimum * (1.0 + world.critical / batch) * world.step_seconds(batch, 1)
        for batch in (8, 16, 32, 64, 128, 256, 512)
    )
    quiet = Flat(scatter=0.0)
    found = min(
        quiet.steps(one.global_batch_size, one.learning_rate, 0)
        * quiet.step_seconds(one.global_batch_size, 1)
        for one in job.findings.search.finalists
    )
    assert found <= 1.12 * best


def test_physics_finds_the_optimum_in_few_noisy_trials() -> None:
    """Ten trials of which each scatters by 10 %: the best finalist is within 5 % on average."""
    regrets = []
    for seed in range(4):
        world = World(scatter=0.15, own_scatter=0.1)
        _, job = _search(world, _spec("physics_gp", trials=10, seed=seed))
        best = min(_seconds(world, b, world.rate(b)) for b in (8, 16, 32, 64, 128, 256, 512))
        found = job.findings.search.finalists
        times = [_seconds(world, one.global_batch_size, one.learning_rate) for one in found]
        regrets.append(min(times) / best - 1.0)
    assert sum(regrets) / len(regrets) <= 0.05


def test_finalists_are_distinct_and_ranked_by_expectation() -> None:
    """Near-duplicates are one finalist, and a lucky outlier does not come first by luck alone."""
    prior = make_prior()
    base = prior.score(64, 0.05)
    seen = [trial(64, 0.05, base), trial(64, 0.054, base - 0.01), trial(64, 0.046, base - 0.01)]
    seen += [trial(128, 0.065, base - 0.2), trial(128, 0.08, base + 0.15)]
    seen += [trial(256, 0.08, base + 0.3, "censored"), trial(32, 0.5, None, "diverged")]
    finalists = rank(fit(prior, seen), seen)
    assert len(finalists) <= FINALISTS
    assert [one.score for one in finalists] == sorted(one.score for one in finalists)
    for position, one in enumerate(finalists):
        for other in finalists[:position]:
            apart = abs(math.log(one.learning_rate / other.learning_rate))
            assert one.global_batch_size != other.global_batch_size or apart >= SAME_FINALIST
    assert {one.global_batch_size for one in finalists[:2]} == {64, 128}
    assert 32 not in {one.global_batch_size for one in finalists}
    assert max(Counter(one.global_batch_size for one in finalists).values()) <= 2


def test_a_trial_that_a_lucky_one_cut_short_can_be_a_finalist() -> None:
    """One lucky run cuts whatever is as good on average: what was cut is not left out."""
    prior = make_prior()
    base = prior.score(64, 0.05)
    seen = [trial(64, 0.05, base - 0.5), trial(128, prior.rate(128), base - 0.24, "censored")]
    finalists = rank(fit(prior, seen), seen)
    assert {one.global_batch_size for one in finalists} == {64, 128}


def test_seeds_of_the_race_say_how_much_a_trial_scatters() -> None:
    """Three seeds of one rate move the noise, within its bounds; one seed leaves it as usual."""
    objective = {"kind": "time_to_target", "horizon_samples": 64 * 400}
    noises = []
    for scatter in (0.0, 0.6):
        _, job = _search(
            World(scatter=scatter),
            make_spec(objective=objective, budget={"timeout_seconds": 5000, "max_trials": 4}),
        )
        noises.append(trial_noise(job, job.findings.plan.goal))
    assert BOUNDS[0] <= noises[0] < noises[1] <= BOUNDS[1]
    _, job = _search(World(scatter=0.6), _spec("tpe", trials=4))
    assert BOUNDS[0] <= trial_noise(job, job.findings.plan.goal) < noises[1]
