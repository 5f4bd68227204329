"""The race is stacked where that was measured to end it sooner, and nothing else changes."""

from __future__ import annotations

import random

import pytest

from tests.tuner.driver import Driver, make_spec, replay
from tests.tuner.world import World
from tuner.deciding.history import Entry
from tuner.deciding.stacking import TIMING_ID, TRYING_SHARE, best_width
from tuner.errors import InvalidWorkload
from tuner.recommendation import Recommendation, Stacking
from tuner.records import (
    AttemptLost,
    CapacityChanged,
    Measurement,
    Request,
    StackedRuns,
    StackPace,
    StackPaces,
    StackTiming,
    Started,
)
from tuner.tune import MeasurementLost, tune
from tuner.tuning import Tuning

QUICK = {"search": {"sampler": "tpe"}}
"""The search is of no matter here."""

FAST = {"stack_gain": 4.0}
"""A world in which eight runs side by side take the time of two."""


def paces(*gains: tuple[int, float | None], begin_seconds: float = 0.0) -> StackPaces:
    """What a device tells whose lone steps take a second, from widths and their gains."""
    return StackPaces(
        lone_step_seconds=1.0,
        paces=tuple(
            StackPace(
                runs=width,
                step_seconds=None if gain is None else width / gain,
                begin_seconds=begin_seconds,
            )
            for width, gain in gains
        ),
        device_seconds=0.0,
    )


@pytest.mark.parametrize(
    ("found", "runs", "slots", "width"),
    [
        (None, 8, 1, 1),
        (paces((8, 1.0)), 8, 1, 1),
        (paces((8, 1.05)), 8, 1, 1),
        (paces((8, 2.0), (4, 1.8), (2, 1.2)), 8, 1, 8),
        (paces((8, 1.5), (4, 1.8), (2, 1.2)), 8, 1, 4),
        (paces((8, 2.0), (4, 1.8), (2, 1.2)), 2, 1, 2),
        (paces((8, 2.0), (4, 1.8), (2, 1.2)), 1, 1, 1),
        (paces((8, None), (4, 1.8)), 8, 1, 4),
        (paces((8, 1.9)), 8, 2, 1),
        (paces((8, 3.0), (4, 1.2)), 8, 2, 8),
        (paces((8, 1.9), (4, 1.6)), 8, 2, 4),
        (paces((8, 6.0), (4, 3.0), (2, 1.2)), 8, 8, 1),
        (paces((4, 2.4)), 3, 1, 4),
        (paces((8, 2.0)), 8, 0, 8),
        (paces((8, 2.0), begin_seconds=300.0), 8, 1, 8),
        (paces((8, 2.0), begin_seconds=350.0), 8, 1, 1),
    ],
)
def test_the_width_that_ends_a_rung_soonest_is_chosen(
    found: StackPaces | None, runs: int, slots: int, width: int
) -> None:
    """Widths compete over the whole rung of 100 steps, on all devices of the job at once."""
    assert best_width(found, runs=runs, slots=slots, steps=100) == width


def answered(world: World, **parts: object) -> tuple[Recommendation, Tuning, list[Request]]:
    """Tune on a world; the answer, the machine and every request that was handed out."""
    seen: list[Request] = []
    machines: list[Tuning] = []

    def note(tuning: Tuning, event: object) -> None:
        machines.append(tuning)
        if isinstance(event, Started):
            seen.append(event.request)

    answer = tune(make_spec(**QUICK, **parts), measure=world.measure, on_event=note)
    return answer, machines[-1], seen


def race_of(tuning: Tuning) -> list[tuple[object, ...]]:
    """The race's trials as people see them."""
    views = [view for view in tuning.trials() if view.stage == "race"]
    return [(v.request_id, v.learning_rate, v.state, v.steps, v.metric) for v in views]


def told(answer: Recommendation) -> Stacking:
    """What the answer says of stacks."""
    assert answer.spending.stacking is not None
    return answer.spending.stacking


def test_a_stacked_race_ends_as_a_separate_one() -> None:
    """The same single runs are listed, with the same winner; two requests ran them."""
    alone, separately, _ = answered(World(scatter=0.1))
    answer, together, seen = answered(World(scatter=0.1, **FAST))
    stacks = [one for one in seen if isinstance(one, StackedRuns)]
    assert [len(one.runs) for one in stacks] == [8, 4]
    assert race_of(together)[:12] == race_of(separately)[:12]
    assert together.job.findings.race is not None
    assert separately.job.findings.race is not None
    one, other = together.job.findings.race, separately.job.findings.race
    assert one.learning_rate == other.learning_rate
    assert one.reference_steps == other.reference_steps
    assert one.noise == other.noise
    assert answer.learning_rate == alone.learning_rate
    assert told(alone).runs == 0
    assert told(alone).expected_gain == pytest.approx(1.0)


def test_stacks_resume_every_run_from_its_own_checkpoint() -> None:
    """A run of the second rung goes on from its run of the first."""
    _, _, seen = answered(World(**FAST))
    second = next(one for one in seen if one.id.startswith("race-1-stack"))
    assert isinstance(second, StackedRuns)
    assert all(run.resume_from == "c" and run.checkpoint for run in second.runs)


def test_seconds_add_up() -> None:
    """Shares of single runs add up to what their stacks cost; what was tried is charged."""
    answer, tuning, _ = answered(World(trying_seconds=0.7, **FAST))
    history = tuning.job.history
    race = sum(entry.device_seconds for entry in history.of("race"))
    assert race == pytest.approx(answer.spending.device_seconds_by_stage["race"])
    assert sum(answer.spending.device_seconds_by_stage.values()) == pytest.approx(
        history.device_seconds
    )
    timing = history.get(TIMING_ID)
    assert timing is not None
    assert timing.device_seconds == pytest.approx(0.7)


def test_the_answer_says_what_it_gained() -> None:
    """Runs in stacks, their seconds, and those of the same steps one run after the other."""
    answer, _, seen = answered(World(evaluation_seconds=0.0, **FAST))
    said = told(answer)
    assert said.runs == sum(len(one.runs) for one in seen if isinstance(one, StackedRuns))
    assert said.expected_gain == pytest.approx(4.0)
    assert said.separate_seconds > 1.5 * said.device_seconds
    assert said.refused is None


def test_runs_that_cannot_be_stacked_race_alone_and_the_answer_says_why() -> None:
    """A refusal costs a question, no stack."""
    answer, _, seen = answered(World(refused="It has layers of its own.", **FAST))
    assert not [one for one in seen if isinstance(one, StackedRuns)]
    assert told(answer).refused == "It has layers of its own."
    assert told(answer).expected_gain is None


def test_memory_bounds_the_width() -> None:
    """Where memory holds five runs, stacks of four are the widest that are tried."""
    _, tuning, seen = answered(World(**FAST))
    race = tuning.job.findings.race
    assert race is not None
    asked = next(one for one in seen if isinstance(one, StackTiming))
    assert asked.widths == (8, 4, 2)
    needed = World().peak_bytes(asked.runs[0].plan.micro_batch_size)
    _, _, seen = answered(World(limit_bytes=int(5.5 * needed), **FAST))
    asked = next(one for one in seen if isinstance(one, StackTiming))
    assert asked.widths == (4, 2)
    _, _, seen = answered(World(limit_bytes=int(1.5 * needed), **FAST))
    assert not [one for one in seen if isinstance(one, StackTiming | StackedRuns)]


def test_finding_out_may_cost_a_share_of_the_race() -> None:
    """What may be spent on trying follows from what the rungs take one by one."""
    _, tuning, seen = answered(World())
    asked = next(one for one in seen if isinstance(one, StackTiming))
    plan, steps = asked.runs[0].plan, asked.runs[0].max_steps
    timing = tuning.job.findings.timing
    assert timing is not None
    rungs = 20 * steps * timing.step_seconds[plan.global_batch_size]
    assert asked.allowance_seconds == pytest.approx(TRYING_SHARE * rungs)


def test_a_race_too_short_to_pay_for_it_does_not_ask() -> None:
    """Where all rungs together take seconds, nothing is tried and nothing is said."""
    quick = World(pass_fixed_seconds=1e-5, pass_seconds_per_sample=1e-6, optimizer_seconds=1e-5)
    answer, _, seen = answered(quick)
    assert not [one for one in seen if isinstance(one, StackTiming)]
    assert answer.spending.stacking is None


@pytest.mark.parametrize("slots", [2, 3, 4, 8])
def test_stacks_leave_no_device_idle(slots: int) -> None:
    """On several devices the rung is dealt out to all of them."""
    spec = make_spec(**QUICK, budget={"timeout_seconds": 900, "parallel_trials": slots})
    driver = Driver(tuning=Tuning(spec), world=World(stack_gain=8.0), rng=random.Random(3))
    driver.run(slots)
    seen = [event.request for event in driver.sequence if isinstance(event, Started)]
    first = [one for one in seen if one.id.startswith("race-0-")]
    asked = next((one for one in seen if isinstance(one, StackTiming)), None)
    most = -(-8 // slots)
    if most == 1:
        assert asked is None
    else:
        assert asked is not None
        assert max(asked.widths) <= most
    assert len(first) >= slots
    assert sum(len(one.runs) if isinstance(one, StackedRuns) else 1 for one in first) == 8


def crashing(world: World, times: int) -> tuple[list[str], Recommendation]:
    """Tune where the first attempts at the first stack die; every request that was tried."""
    tried: list[str] = []

    def measure(request: Request) -> Measurement:
        tried.append(request.id)
        if request.id == "race-0-stack-0" and tried.count(request.id) <= times:
            raise MeasurementLost
        return world.measure(request)

    return tried, tune(make_spec(**QUICK), measure=measure)


def test_a_stack_whose_child_dies_is_tried_again() -> None:
    """One crash costs an attempt: the same stack comes once more."""
    tried, answer = crashing(World(**FAST), times=1)
    assert tried.count("race-0-stack-0") == 2
    assert "race-0-0" not in tried
    assert answer.evidence == "full"


def test_a_stack_that_keeps_crashing_is_trained_one_by_one() -> None:
    """After a second crash its runs go on alone, each once, and the race ends as ever."""
    tried, answer = crashing(World(**FAST), times=9)
    assert tried.count("race-0-stack-0") == 2
    assert [one for one in tried if one.startswith("race-0-") and "stack" not in one] == [
        f"race-0-{index}" for index in range(8)
    ]
    whole, _, _ = answered(World(**FAST))
    assert answer.learning_rate == whole.learning_rate


def test_a_fault_of_the_stack_is_looked_for_in_each_run() -> None:
    """Where a stack raises, its runs are trained alone; they are not at fault."""
    world = World(**FAST)

    def measure(request: Request) -> Measurement:
        if isinstance(request, StackedRuns):
            raise InvalidWorkload("It raised.", code="workload_raised")
        return world.measure(request)

    answer = tune(make_spec(**QUICK), measure=measure)
    assert answer.evidence == "full"
    assert told(answer).runs == 0


def test_a_fault_while_timing_stacks_is_no_fault_of_the_job() -> None:
    """Where timing raises, the race runs separately and the answer says nothing of stacks."""
    world = World(**FAST)

    def measure(request: Request) -> Measurement:
        if isinstance(request, StackTiming):
            raise InvalidWorkload("It raised.", code="workload_raised")
        return world.measure(request)

    answer = tune(make_spec(**QUICK), measure=measure)
    assert answer.evidence == "full"
    assert answer.spending.stacking is None


def in_the_stack() -> Tuning:
    """A machine whose first stack runs."""
    tuning, world = Tuning(make_spec()), World(**FAST)
    driver = Driver(tuning=tuning, world=world, rng=random.Random(0))
    driver.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    while "race-0-stack-0" not in driver.running:
        driver._act()
        if "race-0-stack-0" not in driver.running:
            driver._finish_one()
    return tuning


def entry_of(tuning: Tuning, request_id: str) -> Entry:
    """What is known of a request."""
    entry = tuning.job.history.get(request_id)
    assert entry is not None
    return entry


def test_runs_of_a_stack_are_shown_while_it_runs() -> None:
    """Eight trials run; devices know of one request."""
    tuning = in_the_stack()
    running = [view.request_id for view in tuning.trials() if view.state == "running"]
    assert running == [f"race-0-{index}" for index in range(8)]
    assert [entry.request.id for entry in tuning.job.history.handed() if entry.running] == [
        "race-0-stack-0"
    ]
    assert tuning.actions() == ()


@pytest.mark.parametrize("cause", ["restarted", "withdrawn", "node_lost"])
def test_a_lost_stack_is_offered_whole(cause: str) -> None:
    """A controller that died, or a node, costs the stack an attempt; none of its runs is split."""
    tuning = in_the_stack()
    for _ in range(3):
        tuning.apply(AttemptLost(request_id="race-0-stack-0", cause=cause, device_seconds=2.0))
        (start,) = tuning.actions()
        assert start.request.id == "race-0-stack-0"
        tuning.apply(Started(request=start.request))
    assert entry_of(tuning, "race-0-0").device_seconds == 0.0
    assert tuning.job.history.seconds_by_stage()["race"] >= 6.0


def test_a_pause_and_more_devices_leave_a_rung_whole() -> None:
    """Capacity that comes and goes in a rung starts no run of it twice."""
    spec = make_spec(**QUICK, budget={"timeout_seconds": 900, "parallel_trials": 4})
    driver = Driver(tuning=Tuning(spec), world=World(**FAST), rng=random.Random(1))
    driver.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=2))
    for slots in (2, 0, 1, 4, 3, 2) * 4:
        driver.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=slots))
        driver._act()
        if driver.running:
            driver._finish_one()
    driver.run(4)
    assert driver.tuning.answer is not None
    again = replay(spec, driver.sequence)
    assert again.trials() == driver.tuning.trials()
    ids = [view.request_id for view in again.trials()]
    assert len(ids) == len(set(ids))
