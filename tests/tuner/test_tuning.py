"""The machine as a whole: replay, orders of completion, losses, stops."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner import records
from tuner.errors import UnknownRequest
from tuner.records import CapacityChanged, Result, Start, Started, Stop, TrainingRun
from tuner.tune import MeasurementLost, tune
from tuner.tuning import Tuning

from .driver import Driver, make_spec, replay
from .world import World

RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def _state(tuning: Tuning) -> object:
    answer = tuning.answer.model_dump() if tuning.answer else None
    return tuning.stage, tuning.progress, tuning.trials(), tuning.failure, answer, tuning.actions()


@RELAXED
@given(
    seed=st.integers(0, 10**6),
    slots=st.integers(1, 5),
    loss_share=st.sampled_from([0.0, 0.1, 0.3]),
    stop_after=st.one_of(st.none(), st.integers(2, 120)),
    stop_reason=st.sampled_from(["cancelled", "timeout"]),
    target=st.sampled_from([0.1, None]),
    stack_gain=st.sampled_from([1.0, 8.0]),
)
def test_replay_and_invariants(
    seed: int,
    slots: int,
    loss_share: float,
    stop_after: int | None,
    stop_reason: str,
    target: float | None,
    stack_gain: float,
) -> None:
    """Any order of completion ends, runs nothing twice, and replays to the same state."""
    spec = make_spec(
        seed=seed % 1000,
        objective={"kind": "time_to_target", "target": target},
        budget={"timeout_seconds": 900, "max_trials": 6, "parallel_trials": slots},
    )
    driver = Driver(
        tuning=Tuning(spec),
        world=World(scatter=0.15, stack_gain=stack_gain),
        rng=random.Random(seed),
        loss_share=loss_share,
        stop_after=stop_after,
        stop_reason=stop_reason,
    )
    driver.run(slots)
    assert driver.most_running <= slots
    assert _state(driver.tuning) == _state(replay(spec, driver.sequence))
    if stop_reason == "cancelled" and stop_after is not None and driver.tuning.answer is None:
        return
    assert (driver.tuning.answer is None) != (driver.tuning.failure is None)


@RELAXED
@given(
    seed=st.integers(0, 10**6),
    cut=st.floats(0.0, 1.0),
    stack_gain=st.sampled_from([1.0, 8.0]),
)
def test_a_rebuilt_tuning_goes_on_as_the_old_one(seed: int, cut: float, stack_gain: float) -> None:
    """Killed after any event and rebuilt, a tuning asks for exactly what the old one asks for."""
    spec = make_spec(seed=seed % 1000, budget={"timeout_seconds": 900, "parallel_trials": 3})
    world = World(scatter=0.1, stack_gain=stack_gain)
    driver = Driver(tuning=Tuning(spec), world=world, rng=random.Random(seed))
    driver.run(3)
    length = sorted(driver.wished)[round(cut * (len(driver.wished) - 1))]
    kept = driver.sequence[:length]
    through_json = [records.decode(json.loads(json.dumps(records.encode(e)))) for e in kept]
    assert replay(spec, through_json).actions() == driver.wished[length]


def test_a_rung_is_judged_only_when_it_is_complete() -> None:
    """No run of the second rung starts while one of the first is open."""
    spec = make_spec(budget={"timeout_seconds": 900, "parallel_trials": 4})
    driver = Driver(tuning=Tuning(spec), world=World(), rng=random.Random(1))
    driver.run(4)
    ended: set[str] = set()
    for event in driver.sequence:
        if isinstance(event, Result):
            ended.add(event.request_id)
        if isinstance(event, Started) and event.request.id.startswith("race-1-"):
            assert {f"race-0-{index}" for index in range(8)} <= ended


def test_actions_are_idempotent() -> None:
    """Asking twice without an event between gives the same wishes."""
    tuning = Tuning(make_spec())
    assert tuning.actions() == ()
    tuning.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    assert tuning.actions() == tuning.actions()
    assert isinstance(tuning.actions()[0], Start)


def test_device_kinds_are_never_mixed() -> None:
    """A second kind of device does not replace the first one."""
    tuning = Tuning(make_spec())
    tuning.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    tuning.apply(CapacityChanged(accelerator="cuda", device_kind="cuda:A", slots=4))
    assert tuning.actions()[0].request.workload.accelerator == "cpu"


def test_an_unknown_request_is_a_bug() -> None:
    """A result for something that was never asked is refused."""
    tuning = Tuning(make_spec())
    with pytest.raises(UnknownRequest):
        tuning.apply(Result(request_id="search-7", result=World()._inspect()))


def test_a_request_that_keeps_crashing_fails_the_job() -> None:
    """An inspection that crashes a third time ends the job with a problem."""

    def crash(_: records.Request) -> records.Measurement:
        raise MeasurementLost

    with pytest.raises(Exception, match="3 times") as caught:
        tune(make_spec(), measure=crash)
    assert caught.value.problem.code == "attempts_exhausted"


def test_a_trial_that_keeps_crashing_is_infeasible_and_the_job_goes_on() -> None:
    """Losing one search trial for good costs that trial only."""
    world = World()

    def measure(request: records.Request) -> records.Measurement:
        if request.id == "search-1":
            raise MeasurementLost
        return world.measure(request)

    seen = []
    answer = tune(make_spec(), measure=measure, on_event=lambda t, _: seen.append(t))
    states = {trial.request_id: trial.state for trial in seen[-1].trials()}
    assert states["search-1"] == "infeasible"
    assert answer.target_reached


def test_timeout_gives_the_best_answer_so_far() -> None:
    """When the clock runs out in the search, the answer comes from it, unconfirmed, and says so."""
    world, clock = World(), [0.0]

    def measure(request: records.Request) -> records.Measurement:
        if request.id == "search-3":
            clock[0] = 1e6
        return world.measure(request)

    answer = tune(make_spec(), measure=measure, clock=lambda: clock[0])
    codes = {one.code for one in answer.warnings}
    assert {"budget_exhausted", "not_confirmed"} <= codes
    assert answer.learning_rate is not None
    assert answer.time_to_target_seconds.low is None
    assert answer.limited_by == "budget"


def test_timeout_before_the_race_is_a_failure() -> None:
    """Nothing can be recommended before anything was timed."""
    tuning = Tuning(make_spec())
    tuning.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    tuning.apply(Stop(reason="timeout"))
    assert tuning.failure.code == "budget_exhausted"
    assert tuning.failure.pointer == "/budget"


def test_timeout_in_the_race_leaves_the_throughput() -> None:
    """A race that is cut short never names a learning rate."""
    world, clock = World(), [0.0]

    def measure(request: records.Request) -> records.Measurement:
        if request.id.startswith("race-1"):
            clock[0] = 1e6
        return world.measure(request)

    answer = tune(make_spec(), measure=measure, clock=lambda: clock[0])
    assert answer.evidence == "throughput_only"
    assert answer.learning_rate is None


def test_the_device_budget_is_respected() -> None:
    """Device seconds end within one run of the budget, whatever it is."""
    for budget in (25.0, 40.0, 80.0, 160.0):
        spec = make_spec(budget={"max_device_seconds": budget, "max_trials": 50})
        answer = tune(spec, measure=World(scatter=0.1).measure)
        longest = 10.0
        assert answer.spending.device_seconds <= budget + longest


def test_training_seeds_pair_runs() -> None:
    """Search trials share a seed; confirming runs use others, the same for every finalist."""
    spec = make_spec()
    driver = Driver(tuning=Tuning(spec), world=World(scatter=0.1), rng=random.Random(0))
    driver.run(1)
    seeds: dict[str, set[int]] = {}
    for event in driver.sequence:
        if isinstance(event, Started) and isinstance(event.request, TrainingRun):
            stage, *rest = event.request.id.split("-")
            key = f"{stage}-{rest[-1]}" if stage == "confirm" else stage
            seeds.setdefault(key, set()).add(event.request.seed)
    assert all(len(values) == 1 for values in seeds.values())
    assert seeds["search"] == seeds["race"]
    confirming = [next(iter(v)) for k, v in seeds.items() if k.startswith("confirm")]
    assert len(set(confirming)) == len(confirming)
    assert not set(confirming) & seeds["search"]


def test_late_results_change_nothing_after_the_answer() -> None:
    """A result that comes after the answer leaves it as it is."""
    spec = make_spec(budget={"timeout_seconds": 900, "parallel_trials": 3, "max_trials": 6})
    driver = Driver(
        tuning=Tuning(spec),
        world=World(),
        rng=random.Random(3),
        stop_after=60,
        stop_reason="timeout",
    )
    driver.run(3)
    before = driver.tuning.answer
    for event in driver.sequence:
        if isinstance(event, Started):
            result = driver.world.measure(event.request)
            driver.tuning.apply(Result(request_id=event.request.id, result=result))
    assert driver.tuning.answer == before


def test_finds_the_optimum_of_a_known_world() -> None:
    """With a dozen trials the answer is within 10 % of the best time there is."""
    for seed in range(3):
        world = World(scatter=0.05)
        spec = make_spec(seed=seed, budget={"timeout_seconds": 2000, "max_trials": 12})
        answer = tune(spec, measure=world.measure)

        def seconds(batch: int, rate: float, world: World = world) -> float:
            return world.steps(batch, rate, 0) * world.step_seconds(batch, 1)

        batches = [8, 16, 32, 64, 128, 256, 512]
        world.scatter = 0.0
        best = min(seconds(batch, world.rate(batch)) for batch in batches)
        assert seconds(answer.global_batch_size, answer.learning_rate) <= 1.1 * best
        assert answer.micro_batch_size * answer.gradient_accumulation_steps == (
            answer.global_batch_size
        )
