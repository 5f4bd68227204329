"""Whole stages on a known world: race, plan, search, confirm, recommend."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from tuner.deciding.inspection import batch_grid
from tuner.deciding.limits import CONFIRM_LIMIT, SEARCH_LIMIT
from tuner.errors import InvalidWorkload, TunerError
from tuner.records import (
    Outcome,
    Request,
    Started,
    TrainingResult,
    TrainingRun,
)
from tuner.tune import tune

from ..driver import make_spec
from ..world import World


def _tune(spec, world: World, measure=None):
    events = []
    answer = tune(
        spec, measure=measure or world.measure, on_event=lambda _, event: events.append(event)
    )
    return answer, [e.request for e in events if isinstance(e, Started)]


def _runs(requests: list[Request], stage: str) -> list[TrainingRun]:
    return [
        one for one in requests if isinstance(one, TrainingRun) and one.id.startswith(stage + "-")
    ]


def _codes(answer) -> set[str]:
    return {one.code for one in answer.warnings}


def test_the_race_halves_and_resumes() -> None:
    """Eight rates start, half go on from their checkpoints with twice the steps."""
    _, requests = _tune(make_spec(), World())
    race = _runs(requests, "race")
    first = [one for one in race if one.id.startswith("race-0-")]
    second = [one for one in race if one.id.startswith("race-1-")]
    assert len(first) == 8
    assert len(second) == 4
    assert len({one.plan for one in race}) == 1
    assert all(one.resume_from for one in second)
    assert {one.max_steps for one in second} == {2 * one.max_steps for one in first}
    ratios = [b.learning_rate / a.learning_rate for a, b in itertools.pairwise(first)]
    assert ratios == pytest.approx([ratios[0]] * 7)


def test_the_automatic_target_is_a_median_over_three_seeds() -> None:
    """Without a target, three seeds run to the horizon, and the cost and margin are stated."""
    spec = make_spec(objective={"kind": "time_to_target", "horizon_samples": 64 * 400})
    answer, requests = _tune(spec, World(scatter=0.1))
    long = [
        one for one in _runs(requests, "race") if one.id.split("-")[1] in {"reference", "target"}
    ]
    assert len(long) == 3
    assert len({one.seed for one in long}) == 3
    assert answer.target_origin == "automatic"
    assert answer.target is not None
    assert answer.target_reached
    assert "automatic_target" in _codes(answer)
    assert answer.evidence == "full"


def test_a_short_horizon_is_refused() -> None:
    """A horizon below 200 steps fails and says how many samples are needed."""
    spec = make_spec(objective={"kind": "time_to_target", "horizon_samples": 640})
    with pytest.raises(TunerError) as caught:
        _tune(spec, World())
    assert caught.value.problem.code == "horizon_too_short"
    assert caught.value.problem.pointer == "/objective/horizon_samples"


def test_all_rates_diverging_is_a_clear_failure() -> None:
    """When no rate survives, the problem points at the range of rates."""
    with pytest.raises(TunerError) as caught:
        _tune(make_spec(), World(diverges_above=1e-9))
    assert caught.value.problem.code == "all_runs_diverged"
    assert caught.value.problem.pointer == "/search_space/learning_rate"


def test_a_budget_too_small_for_the_race_names_no_rate() -> None:
    """With a second of budget the answer is of the throughput alone, and says so."""
    answer, _ = _tune(make_spec(budget={"timeout_seconds": 8.0}), World())
    assert answer.evidence == "throughput_only"
    assert answer.learning_rate is None
    assert "learning_rate_not_tuned" in _codes(answer)


def test_a_tight_budget_is_a_declared_proxy() -> None:
    """Where runs to the target do not fit, the horizon is cut, and the answer says so."""
    spec = make_spec(budget={"timeout_seconds": 60.0})
    answer, requests = _tune(spec, World(steps_minimum=3000.0))
    assert answer.evidence == "proxy"
    assert answer.limited_by == "budget"
    assert {"proxy_evidence", "target_not_reached"} <= _codes(answer)
    assert answer.target_reached is False
    assert answer.runs_reached == 0
    assert answer.closest_metric > 0.1
    assert answer.time_to_target_seconds is None
    assert answer.metric_at_budget is not None
    search = _runs(requests, "search")
    seconds = {
        round(one.max_steps * World().step_seconds(one.plan.global_batch_size, 1), 1)
        for one in search
    }
    assert max(seconds) - min(seconds) <= 0.2


def test_synthetic_data_tune_throughput_only() -> None:
    """Generated data leave the rate null and choose the batch of the best throughput."""
    answer, requests = _tune(make_spec(), World(synthetic=True))
    assert answer.learning_rate is None
    assert answer.global_batch_size == 512
    assert not any(isinstance(one, TrainingRun) for one in requests)


def test_search_runs_are_limited_by_the_incumbent() -> None:
    """No trial may take more than 1.3 times what the best one so far is expected to take."""
    world = World()
    _, requests = _tune(make_spec(budget={"timeout_seconds": 900, "max_trials": 10}), world)
    best = math.inf
    for one in _runs(requests, "race") + _runs(requests, "search"):
        seconds = world.step_seconds(one.plan.micro_batch_size, 1)
        if one.id.startswith("search-"):
            assert one.max_steps * seconds <= SEARCH_LIMIT * 1.1 * best + seconds
        result = world._train(one)
        if result.crossing_steps is not None:
            best = min(best, result.crossing_steps * seconds)
    for one in _runs(requests, "confirm"):
        seconds = world.step_seconds(one.plan.micro_batch_size, 1)
        assert one.max_steps * seconds <= CONFIRM_LIMIT * 1.3 * best + seconds


def test_an_infeasible_trial_does_not_end_the_search() -> None:
    """Running out of memory in a trial is an outcome, and the job goes on."""
    world = World()

    def measure(request: Request):
        if request.id == "search-0":
            return TrainingResult(
                outcome=Outcome.OUT_OF_MEMORY,
                steps=0,
                crossing_steps=None,
                curve=(),
                limit_applied=request.max_steps,
                device_seconds=0.1,
            )
        return world.measure(request)

    answer, requests = _tune(make_spec(), world, measure)
    assert len(_runs(requests, "search")) == 6
    assert answer.target_reached


def test_diverging_trials_do_not_end_the_search() -> None:
    """A world that diverges just above its best rate still gets its answer."""
    answer, _ = _tune(make_spec(), World(diverges_above=1.5))
    assert answer.target_reached


def test_accumulation_where_memory_ends() -> None:
    """A small memory caps the micro-batch, and larger batches are accumulated exactly."""
    world = World(limit_bytes=11_700_000, critical=2000.0, bytes_fixed=10_000_000)
    world.bytes_fixed = 5_000_000
    answer, _ = _tune(make_spec(), world)
    assert answer.max_micro_batch_size <= 63
    assert answer.micro_batch_size * answer.gradient_accumulation_steps == answer.global_batch_size
    assert answer.peak_memory_bytes <= answer.memory_limit_bytes


def test_loss_at_budget_prefers_the_lowest_loss() -> None:
    """For a fixed budget of seconds every run trains for the same calibrated time."""
    spec = make_spec(objective={"kind": "loss_at_budget", "budget_seconds": 3.0})
    answer, requests = _tune(spec, World(scatter=0.05))
    assert answer.evidence == "full"
    assert answer.metric_at_budget is not None
    assert answer.metric_at_budget.low <= answer.metric_at_budget.estimate
    assert answer.target_reached is None
    for one in _runs(requests, "confirm"):
        seconds = one.max_steps * World().step_seconds(one.plan.global_batch_size, 1)
        assert seconds == pytest.approx(3.0, rel=0.02)


def test_a_target_nobody_reaches_is_answered_honestly() -> None:
    """A loss floor above the target: succeeded, not reached, the closest value named."""
    answer, _ = _tune(make_spec(), World(floor=0.2))
    assert answer.target_reached is False
    assert answer.closest_metric == pytest.approx(0.2, rel=0.05)
    assert answer.evidence == "proxy"


def test_batch_dependent_layers_are_warned_of() -> None:
    """BatchNorm ties the steps to the micro-batch, and the answer says so."""
    answer, _ = _tune(make_spec(), World(batch_dependent=("bn1",)))
    assert "batch_dependent_layers" in _codes(answer)


def test_the_data_cap_cuts_the_range() -> None:
    """No batch above a tenth of the data is considered; below the range it is refused."""
    answer, requests = _tune(make_spec(), World(num_train=700))
    assert max(one.plan.global_batch_size for one in _runs(requests, "search")) <= 70
    assert "batch_capped_by_data" in _codes(answer)
    with pytest.raises(TunerError) as caught:
        _tune(make_spec(), World(num_train=50))
    assert caught.value.problem.pointer == "/search_space/global_batch_size/low"


def test_batch_grid_is_powers_of_two_or_the_ends() -> None:
    """A range without a power of two keeps its own two ends."""
    assert batch_grid(8, 143) == (8, 16, 32, 64, 128)
    assert batch_grid(33, 63) == (33, 63)
    assert batch_grid(1, 1) == (1,)


def test_easy_targets_are_warned_of() -> None:
    """A target that takes fewer than 200 steps draws a warning."""
    answer, _ = _tune(make_spec(), World(steps_minimum=40.0))
    assert "target_too_easy" in _codes(answer)


def test_a_busy_machine_is_timed_again() -> None:
    """Windows that disagree are timed anew, three times at most, and then warned of."""
    world = World()
    busy = {"timing-0"}

    def measure(request: Request):
        result = world.measure(request)
        if request.id in busy:
            passes = tuple(replace(one, spread=0.5) for one in result.passes)
            return replace(result, passes=passes)
        return result

    answer, requests = _tune(make_spec(), world, measure)
    assert [one.id for one in requests if one.id.startswith("timing")] == ["timing-0", "timing-1"]
    assert "timing_unsteady" not in _codes(answer)
    busy.update({"timing-1", "timing-2"})
    answer, requests = _tune(make_spec(), world, measure)
    assert sum(one.id.startswith("timing") for one in requests) == 3
    assert "timing_unsteady" in _codes(answer)


def test_a_failed_second_timing_is_no_loss() -> None:
    """A timing that is repeated because of a busy machine may fail; the first one stands."""
    world = World()

    def measure(request: Request):
        if request.id == "timing-1":
            raise InvalidWorkload("the machine hiccuped")
        result = world.measure(request)
        if request.id.startswith("timing"):
            passes = tuple(replace(one, spread=0.5) for one in result.passes)
            return replace(result, passes=passes)
        return result

    answer, _ = _tune(make_spec(), world, measure)
    assert answer.target_reached
