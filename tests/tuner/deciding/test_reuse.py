"""What a past job found on one device, verified on another one: used, refused, or left alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from tuner.deciding.verify import LIMIT, SEEDS
from tuner.recommendation import Recommendation
from tuner.records import (
    CapacityChanged,
    Event,
    Inspection,
    Knowledge,
    Measurement,
    Recalled,
    Request,
    Result,
    Started,
    Stop,
    TrainingRun,
    decode,
    encode,
)
from tuner.spec import TuningSpec
from tuner.tune import tune
from tuner.tuning import Tuning

from ..driver import make_spec, replay
from ..world import World

BUDGET = {"timeout_seconds": 2000, "max_trials": 8}
CPU = CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1)
CARD = CapacityChanged(accelerator="cuda", device_kind="cuda:world", slots=1)

SLOW: dict[str, Any] = {"scatter": 0.08}
"""A device whose steps cost the more the larger the batch."""

PARALLEL: dict[str, Any] = {
    "scatter": 0.08,
    "pass_fixed_seconds": 0.004,
    "pass_seconds_per_sample": 0.000_002,
}
"""A device on which a large batch costs hardly more than a small one."""


class Told:
    """A job and everything that was said about it."""

    def __init__(
        self,
        spec: TuningSpec,
        world: World,
        *,
        known: Knowledge | None = None,
        capacity: CapacityChanged = CARD,
        measure: Any = None,
    ) -> None:
        self.events: list[Event] = []
        self.keys: list[str] = []
        self.spec = spec
        self.tuning: Tuning | None = None

        def note(tuning: Tuning, event: Event) -> None:
            self.tuning = tuning
            self.events.append(event)

        def recall(key: str) -> Knowledge | None:
            self.keys.append(key)
            return known if known is not None and known.key == key else None

        self.answer: Recommendation = tune(
            spec,
            measure=measure or world.measure,
            capacity=capacity,
            recall=recall,
            on_event=note,
        )

    def learned(self, job_id: str = "tj_past") -> Knowledge:
        """What later jobs may know of it."""
        assert self.tuning is not None
        knowledge = self.tuning.learned(job_id=job_id, answered_at="2026-01-01T00:00:00+00:00")
        assert knowledge is not None
        return knowledge

    @property
    def stages(self) -> set[str]:
        """Stages that measured something."""
        return {event.request.id.partition("-")[0] for event in self.events if started(event)}

    @property
    def codes(self) -> set[str]:
        """Codes of the answer's warnings."""
        return {one.code for one in self.answer.warnings}

    def runs(self, stage: str) -> list[TrainingRun]:
        """Training runs of a stage."""
        requests = [event.request for event in self.events if started(event)]
        return [
            one for one in requests if isinstance(one, TrainingRun) and one.id.startswith(stage)
        ]


def started(event: Event) -> bool:
    """Whether an event hands a request to a device."""
    return isinstance(event, Started)


def seconds(world: World, answer: Recommendation) -> float:
    """True expected seconds of an answer, by the laws of a world."""
    world = replace(world, scatter=0.0)
    steps = world.steps(answer.global_batch_size, answer.learning_rate or 0.0, 0)
    return steps * world.step_seconds(answer.micro_batch_size, answer.gradient_accumulation_steps)


@pytest.fixture(scope="module")
def past() -> Told:
    """A full job on the first device."""
    return Told(make_spec(budget=BUDGET), World(**SLOW), capacity=CPU)


def test_a_known_workload_on_a_new_device_costs_two_runs(past: Told) -> None:
    """The answer is the full job's within a few per cent of time, at a fraction of its cost."""
    spec = make_spec(budget=BUDGET)
    full = Told(spec, World(**PARALLEL))
    reused = Told(spec, World(**PARALLEL), known=past.learned())
    assert reused.stages == {"inspect", "memory", "timing", "verify"}
    assert len(reused.runs("verify")) == SEEDS == reused.answer.runs
    assert reused.answer.evidence == "full"
    trained = [
        sum(
            seconds
            for stage, seconds in told.answer.spending.device_seconds_by_stage.items()
            if stage not in {"inspect", "memory", "timing"}
        )
        for told in (full, reused)
    ]
    assert trained[1] < 0.25 * trained[0]
    world = World(**PARALLEL)
    assert seconds(world, reused.answer) <= 1.06 * seconds(world, full.answer)


def test_the_best_batch_is_that_of_the_new_device(past: Told) -> None:
    """What is reused is how learning scales, not the past answer."""
    reused = Told(make_spec(budget=BUDGET), World(**PARALLEL), known=past.learned())
    assert reused.answer.global_batch_size >= 2 * past.answer.global_batch_size
    assert reused.answer.step_time_seconds == pytest.approx(
        World(**PARALLEL).step_seconds(
            reused.answer.micro_batch_size, reused.answer.gradient_accumulation_steps
        )
    )


def test_the_answer_names_what_it_reused(past: Told) -> None:
    """Past job, its date and device, what was taken over, and how it held."""
    known = past.learned("tj_7")
    answer = Told(make_spec(budget=BUDGET), World(**PARALLEL), known=known).answer
    assert answer.reused is not None
    assert answer.reused.job_id == "tj_7"
    assert answer.reused.answered_at == "2026-01-01T00:00:00+00:00"
    assert (answer.reused.device_kind, answer.reused.device_name) == ("cpu", "world")
    assert answer.reused.learning_rate == known.learning_rate
    assert answer.reused.critical_batch_size == past.answer.critical_batch_size
    assert answer.critical_batch_size == past.answer.critical_batch_size
    assert answer.time_to_target_seconds is not None
    assert answer.reused.expected_seconds is not None
    assert answer.time_to_target_seconds.estimate == pytest.approx(
        answer.reused.measured_to_expected * answer.reused.expected_seconds
    )
    assert past.answer.reused is None


def test_verifying_runs_train_on_seeds_that_nobody_saw(past: Told) -> None:
    """Neither the past job nor a later one in the chain trained on them, the job seed the same."""
    second = Told(make_spec(budget=BUDGET), World(**PARALLEL), known=past.learned("a"))
    third = Told(make_spec(budget=BUDGET), World(**PARALLEL), known=second.learned("b"))
    assert third.answer.reused is not None
    assert third.answer.reused.job_id == "b"
    seen = [{run.seed for run in told.runs("")} for told in (past, second, third)]
    assert len(seen[1]) == len(seen[2]) == SEEDS
    assert not seen[0] & seen[1]
    assert not (seen[0] | seen[1]) & seen[2]


def test_a_verified_job_adds_its_runs_to_what_is_known(past: Told) -> None:
    """A later job knows all that the past one knew, and two trials more."""
    known = past.learned()
    second = Told(make_spec(budget=BUDGET), World(**PARALLEL), known=known)
    after = second.learned("tj_second")
    assert after.trials[: len(known.trials)] == known.trials
    assert len(after.trials) == len(known.trials) + SEEDS
    assert after.device_kind == "cuda:world"
    assert all(trial.unseen for trial in after.trials[-SEEDS:])


def test_a_law_that_changed_is_found_out(past: Told) -> None:
    """Where runs take longer than promised all is measured anew, and the answer says so."""
    changed = World(**PARALLEL | {"steps_minimum": 600.0})
    told = Told(make_spec(budget=BUDGET), changed, known=past.learned())
    assert "reuse_rejected" in told.codes
    assert told.answer.reused is None
    assert {"verify", "race", "search", "confirm"} <= told.stages
    full = Told(make_spec(budget=BUDGET), World(**PARALLEL | {"steps_minimum": 600.0}))
    assert seconds(changed, told.answer) <= 1.1 * seconds(changed, full.answer)
    assert told.learned().steps > 1.5 * past.learned().steps


@pytest.mark.parametrize("change", [{"diverges_above": 0.01}, {"floor": 0.5}])
def test_a_first_run_that_fails_saves_the_second(past: Told, change: dict[str, Any]) -> None:
    """A run that diverged or missed refutes at once, and is cut at twice the expected time."""
    world = World(**PARALLEL | change)
    told: list[Request] = []

    def measure(request: Request) -> Measurement:
        told.append(request)
        if request.id.startswith("race"):
            return World(**PARALLEL).measure(request)
        return world.measure(request)

    known = past.learned()
    job = Told(
        make_spec(budget=BUDGET | {"max_device_seconds": 100.0}),
        world,
        known=known,
        measure=measure,
    )
    verifying = job.runs("verify")
    assert len(verifying) == 1
    assert "reuse_rejected" in job.codes
    expected = LIMIT * 1.2 * math.exp(max(one.score or 0.0 for one in known.trials))
    assert verifying[0].max_steps <= expected


def test_never_turns_it_off(past: Told) -> None:
    """With `reuse: never` nobody is asked, and everything is measured."""
    spec = make_spec(budget=BUDGET, search={"reuse": "never"})
    told = Told(spec, World(**PARALLEL), known=past.learned())
    assert told.keys == []
    assert not any(isinstance(event, Recalled) for event in told.events)
    assert {"race", "search", "confirm"} <= told.stages
    forced = replay(spec, [*told.events[:3], Recalled(knowledge=past.learned())])
    assert forced.job.knowledge is None


def test_replay_leads_to_the_same_answer(past: Told) -> None:
    """What was recalled is an event: stored and applied again, all is as it was."""
    told = Told(make_spec(budget=BUDGET), World(**PARALLEL), known=past.learned())
    stored = [decode(encode(event)) for event in told.events]
    again = replay(told.spec, stored)
    assert again.answer == told.answer
    for cut in range(len(stored)):
        one, other = replay(told.spec, stored[:cut]), replay(told.spec, told.events[:cut])
        assert one.actions() == other.actions()
        assert one.question == other.question


def test_what_nobody_asked_for_changes_nothing(past: Told) -> None:
    """Knowledge of another key, or that comes too late or twice, is not taken."""
    known = past.learned()
    job = Told(make_spec(budget=BUDGET), World(**PARALLEL))
    inspected = next(
        index
        for index, event in enumerate(job.events)
        if isinstance(event, Result) and isinstance(event.result, Inspection)
    )
    early = [*job.events[:inspected], Recalled(knowledge=known), *job.events[inspected:]]
    assert replay(job.spec, early).answer == job.answer
    late = replay(job.spec, [*job.events, Recalled(knowledge=known)])
    assert late.answer == job.answer
    other = replay(
        job.spec,
        [*job.events[: inspected + 1], Recalled(knowledge=replace(known, key="sha256:other"))],
    )
    assert other.job.knowledge is None
    twice = [Recalled(knowledge=known), Recalled(knowledge=replace(known, job_id="tj_other"))]
    taken = replay(job.spec, [*job.events[: inspected + 1], *twice])
    assert taken.job.knowledge == known


def test_the_key_is_that_of_learning_alone(past: Told) -> None:
    """Device, budget, space and seed leave it as it is; data, optimizer and target change it."""
    key = past.learned().key

    def key_of(world: World | None = None, measure: Any = None, **parts: Any) -> str | None:
        tuning = Tuning(make_spec(**parts))
        tuning.apply(CARD)
        request = tuning.actions()[0].request  # type: ignore[union-attr]
        tuning.apply(Started(request=request))
        result = (world or World()).measure(request)
        tuning.apply(Result(request_id=request.id, result=measure(result) if measure else result))
        return tuning.question

    assert key_of() == key
    assert key_of(seed=5, search_space={"global_batch_size": {"low": 16, "high": 64}}) == key
    adam = {"task": "classification", "optimizer": {"kind": "adam"}}
    assert key_of(training=adam) not in {key, None}
    assert key_of(objective={"kind": "time_to_target", "target": 0.2}) not in {key, None}
    assert key_of(measure=lambda seen: replace(seen, data_digest="sha256:e")) not in {key, None}
    assert key_of(measure=lambda seen: replace(seen, code_digest="sha256:e")) not in {key, None}
    assert key_of(world=World(synthetic=True)) is None
    assert key_of(objective={"kind": "loss_at_budget", "budget_seconds": 5.0}) is None
    assert key_of(search={"reuse": "never"}) is None


def test_a_request_for_other_batches_may_leave_nothing_to_reuse(past: Told) -> None:
    """Where no known configuration was asked for, the job measures, and says why."""
    spec = make_spec(budget=BUDGET, search_space={"global_batch_size": {"low": 9, "high": 15}})
    told = Told(spec, World(**PARALLEL), known=past.learned())
    assert "reuse_not_possible" in told.codes
    assert not told.runs("verify")
    assert told.runs("race")


def test_with_layers_that_see_the_batch_the_micro_batch_is_the_same() -> None:
    """Steps that were counted at one micro-batch are not reused at another one."""
    spec = make_spec(budget=BUDGET)
    first = Told(spec, World(**SLOW, batch_dependent=("bn",)), capacity=CPU)
    small = {"limit_bytes": 11_000_000, "bytes_fixed": 5_000_000}
    told = Told(spec, World(**PARALLEL | small, batch_dependent=("bn",)), known=first.learned())
    ran = {(one.global_batch_size, one.micro_batch_size) for one in first.learned().trials}
    for run in told.runs("verify"):
        assert (run.plan.global_batch_size, run.plan.micro_batch_size) in ran


def test_a_budget_that_does_not_hold_the_runs_says_so(past: Told) -> None:
    """Nothing is served unverified: without room for two runs, nothing is reused."""
    spec = make_spec(budget={"max_device_seconds": 6.0})
    told = Told(spec, World(**PARALLEL), known=past.learned())
    assert "reuse_not_possible" in told.codes
    assert not told.runs("verify")
    assert told.answer.reused is None


def test_a_budget_that_ends_after_one_run_answers_from_it(past: Told) -> None:
    """A stop between the two runs leaves one run, no interval, and a warning."""
    events = Told(make_spec(budget=BUDGET), World(**PARALLEL), known=past.learned()).events
    first = next(
        index
        for index, event in enumerate(events)
        if isinstance(event, Result) and event.request_id == "verify-0"
    )
    stopped = replay(make_spec(budget=BUDGET), [*events[: first + 1], Stop(reason="timeout")])
    assert stopped.answer is not None
    assert stopped.answer.runs == 1
    assert stopped.answer.time_to_target_seconds.low is None
    assert "budget_exhausted" in {one.code for one in stopped.answer.warnings}
    before = replay(make_spec(budget=BUDGET), [*events[:first], Stop(reason="timeout")])
    assert before.answer is not None
    assert before.answer.learning_rate is None


@pytest.mark.parametrize(
    "objective",
    [
        {"kind": "time_to_target", "horizon_samples": 64 * 400},
        {"kind": "loss_at_budget", "budget_samples": 64 * 300},
    ],
)
def test_other_objectives_are_recalled_too(objective: dict[str, Any]) -> None:
    """An automatic target is taken over as it was measured; a budget in samples is the same."""
    spec = make_spec(objective=objective, budget=BUDGET)
    first = Told(spec, World(**SLOW), capacity=CPU)
    second = Told(spec, World(**PARALLEL), known=first.learned())
    assert second.answer.reused is not None
    assert not second.runs("race")
    assert second.answer.target == first.answer.target
    assert second.answer.target_origin == first.answer.target_origin
    metric = second.answer.metric_at_budget
    if objective["kind"] == "loss_at_budget":
        assert metric is not None
        assert metric.estimate == pytest.approx(
            second.answer.reused.measured_to_expected * second.answer.reused.expected_metric
        )
    else:
        assert "automatic_target" in second.codes


def test_less_than_full_evidence_is_not_handed_on() -> None:
    """A proxy, a throughput optimum or an answer that nobody confirmed teaches nobody."""
    tight = Told(make_spec(budget={"timeout_seconds": 60.0}), World(steps_minimum=3000.0))
    assert tight.answer.evidence == "proxy"
    assert tight.tuning.learned(job_id="a", answered_at="b") is None
    invented = Told(make_spec(), World(synthetic=True))
    assert invented.tuning.learned(job_id="a", answered_at="b") is None
