"""The study machine as a whole: order, replay, losses, ends of the budget, bad input."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.machine import Machine
from tests.tuner import world as tuning_world
from tests.tuner.driver import Driver
from tuner import records
from tuner.drive import MeasurementLost
from tuner.errors import TunerError
from tuner.records import Event, Measurement, MemoryTrial, Request, StudyRun, Tighten
from tuner.spec import StudySpec
from tuner.study import Study
from tuner.study_findings import StudyFindings
from tuner.study_run import run_study

from .world import StudyWorld, make_study

RELAXED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

GRID = {"kind": "grid", "learning_rates": [0.1, 1.6]}


def answered(spec: StudySpec, world: StudyWorld) -> StudyFindings:
    """What a study finds in a world."""
    return run_study(spec, measure=world.measure)


def replay(spec: StudySpec, sequence: list[Event]) -> Study:
    """A fresh study that has seen the same."""
    study = Study(spec)
    for event in sequence:
        study.apply(event)
    return study


def driven(spec: StudySpec, world: StudyWorld, *, seed: int, slots: int, **kinds: float) -> Driver:
    """A driver of a study; tunings and studies are driven alike."""
    driver = Driver(tuning=Study(spec), world=world, rng=random.Random(seed), **kinds)
    driver.run(slots)
    return driver


def state(study: Study) -> object:
    """Everything that can be seen of a study."""
    answer = study.answer.model_dump() if study.answer else None
    return study.stage, study.progress, study.trials(), study.failure, answer, study.actions()


@RELAXED
@given(
    seed=st.integers(0, 10**6),
    slots=st.integers(1, 4),
    loss_share=st.sampled_from([0.0, 0.1, 0.3]),
    stop_after=st.one_of(st.none(), st.integers(2, 60)),
    stop_reason=st.sampled_from(["cancelled", "timeout"]),
)
def test_replay_and_invariants(
    seed: int, slots: int, loss_share: float, stop_after: int | None, stop_reason: str
) -> None:
    """Any order of completion ends within the slots, and replays to the same state."""
    spec = make_study(seeds=2, seed=seed % 1000, learning_rate=GRID, budget={"parallel_trials": 4})
    driver = driven(
        spec,
        StudyWorld(scatter=0.05),
        seed=seed,
        slots=slots,
        loss_share=loss_share,
        stop_after=stop_after,
        stop_reason=stop_reason,
    )
    assert driver.most_running <= slots
    assert state(driver.tuning) == state(replay(spec, driver.sequence))
    if stop_reason == "cancelled" and stop_after is not None and driver.tuning.answer is None:
        return
    assert (driver.tuning.answer is None) != (driver.tuning.failure is None)


@RELAXED
@given(seed=st.integers(0, 10**6), cut=st.floats(0.0, 1.0))
def test_a_rebuilt_study_goes_on_as_the_old_one(seed: int, cut: float) -> None:
    """Killed after any event and rebuilt from JSON, a study asks for what the old one asks for."""
    spec = make_study(seeds=2, budget={"parallel_trials": 3})
    driver = driven(spec, StudyWorld(), seed=seed, slots=3)
    length = sorted(driver.wished)[round(cut * (len(driver.wished) - 1))]
    kept = [
        records.decode(json.loads(json.dumps(records.encode(event))))
        for event in driver.sequence[:length]
    ]
    assert replay(spec, kept).actions() == driver.wished[length]


def test_it_is_a_machine() -> None:
    """The service can drive a study as it drives a tuning."""
    study: Machine = Study(make_study())
    assert study.repeats is None
    assert study.question is None
    assert study.learned(job_id="a", answered_at="now") is None


def test_seeds_come_one_after_the_other() -> None:
    """Every arm trains on the first seed before any trains on the second, all from one start."""
    world = StudyWorld()
    answered(make_study(seeds=3), world)
    runs = [request for request in world.requests if isinstance(request, StudyRun)]
    assert [run.id.rpartition("-")[2] for run in runs] == ["s0"] * 3 + ["s1"] * 3 + ["s2"] * 3
    assert len({run.seed for run in runs}) == 3
    assert len({run.seed for run in runs[:3]}) == 1


def test_everything_that_was_asked_is_answered() -> None:
    """A quiet study with a full batch answers every part of it, without a warning."""
    world = StudyWorld()
    spec = make_study(full_batch={"kind": "rprop"}, learning_rate=GRID)
    found = answered(spec, world)
    assert [arm.rule for arm in found.arms] == ["optimizer"] * 6 + ["rprop"]
    assert found.arms[-1].batch_size == 1024
    assert all(arm.runs_converged == 5 for arm in found.arms)
    assert all(run.minimum.keskar is not None for arm in found.arms for run in arm.runs)
    assert [noise.at for noise in found.gradients] == ["initial_weights", "minimum"]
    assert found.gradients[0].exponent.mean == pytest.approx(-1.0)
    assert len(found.lines) == 5
    assert [one.dimensions for one in found.landscapes] == [1, 2, 1, 2]
    assert len(found.heat_map) == 6
    assert found.warnings == ()
    assert found.device_seconds == pytest.approx(sum(found.device_seconds_by_stage.values()))


def test_seconds_are_steps_times_step_time() -> None:
    """Calibrated seconds count every pass of a step, also the uneven last one."""
    world = StudyWorld(
        device=tuning_world.World(num_train=1024, bytes_fixed=5_000_000, limit_bytes=18_000_000)
    )
    found = answered(make_study(batch_sizes=[16, 100, 256]), world)
    arm = next(arm for arm in found.arms if arm.batch_size == 100)
    assert arm.micro_batch_size == 64
    laws = world.device
    passes = 2 * laws.pass_fixed_seconds + 100 * laws.pass_seconds_per_sample
    assert arm.step_seconds == pytest.approx(passes + laws.optimizer_seconds)
    point = arm.runs[0].points[-1]
    assert point.calibrated_seconds == pytest.approx(point.step * arm.step_seconds)


def test_memory_is_halved_until_it_fits() -> None:
    """The largest wanted micro-batch is tried first, then its halves."""
    world = StudyWorld(
        device=tuning_world.World(num_train=1024, bytes_fixed=5_000_000, limit_bytes=18_000_000)
    )
    answered(make_study(), world)
    sizes = [r.micro_batch_size for r in world.requests if isinstance(r, MemoryTrial)]
    assert sizes == [256, 128, 64]


def test_nothing_fits() -> None:
    """Where one sample does not fit there is no study, and the bytes are named."""
    world = StudyWorld(device=tuning_world.World(num_train=1024, limit_bytes=1000))
    with pytest.raises(TunerError) as caught:
        answered(make_study(), world)
    assert caught.value.problem.code == "no_feasible_batch"


def test_a_batch_beyond_the_data() -> None:
    """It is refused with its place, the number of samples, and the way out."""
    with pytest.raises(TunerError, match=r"1024 training samples.*full_batch") as caught:
        answered(make_study(batch_sizes=[16, 64, 2048]), StudyWorld())
    assert caught.value.problem.pointer == "/batch_sizes/2"


def test_a_smallest_batch_that_never_converges() -> None:
    """Its arm says so, claims about it cannot be told, and all else is there."""
    found = answered(make_study(max_epochs=30, seeds=6), StudyWorld(never_converges=16))
    assert found.arms[0].runs_converged == 0
    assert found.arms[0].summary.minimum_validation_loss is None
    assert {run.state for run in found.arms[0].runs} == {"exhausted"}
    assert found.arms[1].summary.minimum_validation_loss is not None
    claims = {claim.code: claim for claim in found.claims}
    assert claims["higher_minimum_loss"].verdict == "cannot_be_told"
    assert "batch 16" in claims["higher_minimum_loss"].why
    assert claims["too_small_fails"].verdict == "holds"
    assert claims["variance_falls_as_inverse"].verdict == "holds"
    assert (found.lines[0].small_batch_size, found.lines[0].large_batch_size) == (64, 256)
    assert "not_converged" in {caution.code for caution in found.warnings}


def test_diverged_arms_are_shown_and_left_out() -> None:
    """A rate that diverges has a cell without a loss; the batch is judged at its other rate."""
    found = answered(make_study(learning_rate=GRID), StudyWorld(diverges_above=1.0))
    lost = [cell for cell in found.heat_map if cell.learning_rate == 1.6]
    assert {cell.minimum_validation_loss for cell in lost} == {None}
    assert {cell.runs_converged for cell in lost} == {0}
    assert len(found.lines) == 5
    json.dumps(found.model_dump(mode="json"), allow_nan=False)


def test_the_budget_ends_training() -> None:
    """Whole seeds come first, and what is missing is said."""
    world = StudyWorld()
    spec = make_study(budget={"max_device_seconds": 25.0})
    found = answered(spec, world)
    assert "budget_ended" in {caution.code for caution in found.warnings}
    assert found.arms[0].runs[0].minimum.keskar is not None
    ended = [len(arm.runs) for arm in found.arms]
    assert max(ended) - min(ended) <= 1
    assert 0 < sum(ended) < 15


def test_the_clock_ends_a_study() -> None:
    """At the timeout everything that was measured is answered."""
    world, now = StudyWorld(), [0.0]

    def measure(request: Request) -> Measurement:
        measured = world.measure(request)
        now[0] += measured.device_seconds
        return measured

    spec = make_study(budget={"timeout_seconds": 6.0})
    found = run_study(spec, measure=measure, clock=lambda: now[0])
    assert any(run.state == "converged" for arm in found.arms for run in arm.runs)
    assert "budget_ended" in {caution.code for caution in found.warnings}


def test_a_budget_for_nothing() -> None:
    """Without one run there is no answer, and the budget is to blame."""
    with pytest.raises(TunerError) as caught:
        answered(make_study(budget={"max_device_seconds": 0.05}), StudyWorld())
    assert caught.value.problem.code == "budget_exhausted"
    assert caught.value.problem.pointer == "/budget"


def test_one_run_that_keeps_crashing() -> None:
    """It costs itself alone."""
    world = StudyWorld()

    def measure(request: Request) -> Measurement:
        if request.id in {"train-b64-r0-s1", "minima-b16-r0-s0"}:
            raise MeasurementLost
        return world.measure(request)

    found = run_study(make_study(), measure=measure)
    assert found.arms[1].runs[1].state == "failed"
    assert found.arms[1].runs_converged == 4
    assert found.arms[0].runs[0].minimum.keskar is None
    assert {"not_converged", "not_measured"} <= {caution.code for caution in found.warnings}


def test_a_line_that_is_refused() -> None:
    """Minimisers of different shapes have no line, and the reader learns why."""
    found = answered(make_study(), StudyWorld(refuses_line="The minimisers differ in shape."))
    assert found.lines[0].refused == "The minimisers differ in shape."
    assert "line_refused" in {caution.code for caution in found.warnings}
    claim = next(claim for claim in found.claims if claim.code == "flatter_along_line")
    assert claim.verdict == "cannot_be_told"


def test_landscapes_can_be_left_out() -> None:
    """With no landscape points none is asked for, and none is missed."""
    world = StudyWorld()
    found = answered(make_study(figures={"landscape_points": 0}), world)
    assert found.landscapes == ()
    assert not [name for name in world.measured if name.startswith("landscape")]
    assert found.warnings == ()


def test_nothing_is_tightened() -> None:
    """A study's runs end by themselves."""
    driver = driven(make_study(seeds=1), StudyWorld(), seed=0, slots=2)
    assert not any(isinstance(a, Tighten) for actions in driver.wished.values() for a in actions)


def test_progress_comes_to_an_end() -> None:
    """The fraction is 1 at the end only, and the prediction is close once runs have ended."""
    seen = []
    found = run_study(
        make_study(),
        measure=StudyWorld().measure,
        on_event=lambda study, _: seen.append((study.stage, study.progress)),
    )
    assert [progress.fraction for _, progress in seen][-1] == 1.0
    assert all(progress.fraction < 1.0 for _, progress in seen[:-1])
    late = [progress for stage, progress in seen if stage == "train"][-1]
    assert late.predicted_device_seconds == pytest.approx(found.device_seconds, rel=0.5)
