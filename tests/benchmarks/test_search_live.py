"""Whole searches trained for real, on a grid recorded for the purpose: the replay says the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.search import record
from benchmarks.search.card import CARDS
from benchmarks.search.draw import draw
from benchmarks.search.grid import Grid, load
from benchmarks.search.live import Setting, both, summary
from benchmarks.search.live_world import LiveWorld, thinned
from benchmarks.search.own_clock import time_passes, timed_card
from benchmarks.search.prepare_data import FOLDER
from benchmarks.search.regret import judge
from benchmarks.search.workloads import BY_NAME, Recorded
from tuner.measuring.dispatch import Measuring
from tuner.places import Places
from tuner.records import (
    BatchPlan,
    Measure,
    NoiseWindow,
    Outcome,
    TrainingRun,
)

pytestmark = pytest.mark.full  # half a minute, for a bench that few change

CARD = CARDS[0]


@pytest.fixture(scope="module")
def small() -> Recorded:
    """A workload that reaches its target within a few dozen steps."""
    return dataclasses.replace(
        BY_NAME["digits-mlp-sgd"],
        model={"kind": "builtin", "name": "mlp", "options": {"hidden": [8]}},
        target=0.8,
        batches=(64, 128),
        cadence=(4, 3),
    )


@pytest.fixture(scope="module")
def grid(small: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """Its grid, recorded as the large ones are."""
    folder = tmp_path_factory.mktemp("grid")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(record, "PARTIAL", folder)
        patched.setattr(record, "GRIDS", folder)
        patched.setitem(BY_NAME, small.name, small)
        for batch in small.batches:
            record.record_part(small.name, batch)
        return load(record.assemble(small))


@pytest.fixture(scope="module")
def measuring(tmp_path_factory: pytest.TempPathFactory) -> Measuring:
    """What every job measures with."""
    return Measuring(Places(artifacts=tmp_path_factory.mktemp("artifacts"), file_roots=(FOLDER,)))


def a_world(small: Recorded, grid: Grid, measuring: Measuring, **more: bool) -> LiveWorld:
    """A live world on the first card and draw."""
    return LiveWorld(
        grid=grid,
        card=CARD,
        drawn=draw(0, len(grid.seeds)),
        measuring=measuring,
        workload=small.workload,
        **more,
    )


def a_run(small: Recorded, **more: object) -> TrainingRun:
    """A run near a recorded cell: batch 64 at a rate that lies beside the grid's."""
    asked = {
        "id": "race-0-0",
        "workload": small.workload,
        "plan": BatchPlan(micro_batch_size=64),
        "learning_rate": 1.1 * small.rates[8],
        "seed": 12345,
        "max_steps": 400,
        "evaluate_every_steps": 7,
        "target": small.target,
        "device_kind": "cpu",
    }
    return TrainingRun(**{**asked, **more})


def test_a_live_search_is_the_replayed_one(
    small: Recorded, grid: Grid, measuring: Measuring
) -> None:
    """Read as the recording has to be read, a search trained for real ends as its replay."""
    drawn = draw(0, len(grid.seeds))
    budget = 20 * judge(grid, CARD, drawn).oracle_seconds
    setting = Setting(
        recorded=small, grid=grid, card=CARD, drawn=drawn, budget_seconds=budget
    )  # fmt: skip
    found = both(setting, measuring, "as_recorded")
    answers = found["answers"]
    assert len(found["runs"]) > 10
    assert found["same_cells"]
    assert answers["live"]["recorded_rate"] == answers["replayed"]["recorded_rate"] is not None
    assert answers["live"]["global_batch_size"] == answers["replayed"]["global_batch_size"]
    told = summary([found])
    assert told["same_outcome"] == told["runs"] == len(found["runs"])
    assert told["crossings_within"]["0.01"] == told["crossings"] > 0


def test_a_run_is_snapped_trained_and_priced(
    small: Recorded, grid: Grid, measuring: Measuring
) -> None:
    """A live run is that of the nearest cell, and costs what the card says, not the clock."""
    world = a_world(small, grid, measuring)
    result = world.measure(a_run(small))
    [twins] = world.twins
    assert result.outcome is Outcome.REACHED
    assert twins.cell == grid.cell(64, small.rates[8])
    assert twins.live.crossing_steps == pytest.approx(twins.replayed.crossing_steps, rel=1e-4)
    assert result.device_seconds == pytest.approx(twins.replayed.device_seconds)
    assert twins.wall_seconds != result.device_seconds
    assert twins.cause is None


def test_a_limit_between_evaluations_is_evaluated_or_read_as_recorded(
    small: Recorded, grid: Grid, measuring: Measuring
) -> None:
    """Only the real evaluation at an odd limit differs from the recording's interpolation."""
    evaluated = a_world(small, grid, measuring)
    read = a_world(small, grid, measuring, as_recorded=True)
    request = a_run(small, max_steps=9)
    ends = [world.measure(request).curve[-1] for world in (evaluated, read)]
    replayed = read.twins[0].replayed.curve[-1]
    assert [end.step for end in ends] == [9, 9]
    assert ends[1].value == pytest.approx(replayed.value, rel=1e-5)
    assert ends[0].value != pytest.approx(replayed.value, rel=1e-5)
    assert evaluated.twins[0].cause == "between evaluations"
    assert read.twins[0].cause is None


def test_a_live_run_goes_on_from_its_real_checkpoint(
    small: Recorded, grid: Grid, measuring: Measuring
) -> None:
    """A rung resumes what the one before has saved, and is charged for the new steps alone."""
    world = a_world(small, grid, measuring)
    first = world.measure(a_run(small, max_steps=8, checkpoint=True))
    second = world.measure(
        a_run(small, id="race-1-0", max_steps=16, resume_from=first.checkpoint)
    )  # fmt: skip
    assert second.resumed
    assert second.train_seconds == pytest.approx(8 * CARD.step_seconds(64))
    assert world.twins[1].cause is None


def test_noise_is_measured_where_the_recorder_did(
    small: Recorded, grid: Grid, measuring: Measuring
) -> None:
    """Windows of a live run lie at recorded steps, and hold the same norms."""
    world = a_world(small, grid, measuring)
    request = a_run(
        small, target=None, max_steps=20, measure=Measure(noise_windows=4)
    )  # fmt: skip
    live = world.measure(request)
    replayed = world.twins[0].replayed
    assert [one.step for one in live.noise] == [one.step for one in replayed.noise] != []
    for one, other in zip(live.noise, replayed.noise, strict=True):
        assert one.small == pytest.approx(other.small, rel=1e-3)
        assert one.big == pytest.approx(other.big, rel=1e-3)


def test_windows_are_thinned_evenly() -> None:
    """As many windows are kept as were asked for, the first and the last among them."""
    windows = tuple(
        NoiseWindow(step=step, small_batch_size=8, splits=8, small=1.0, big=1.0)
        for step in range(10)
    )
    kept = thinned(windows, Measure(noise_windows=4))
    assert [one.step for one in kept] == [0, 3, 6, 9]
    assert thinned(windows, Measure()) == ()


def test_the_own_clock_is_a_card(small: Recorded, grid: Grid, measuring: Measuring) -> None:
    """Measured passes make a card whose steps cost what was measured, the fastest way."""
    batches = tuple(int(batch) for batch in grid.batches)
    timing = time_passes(measuring, small.workload, batches)
    card = timed_card(batches, timing)
    one = timing.passes[0]
    assert card.pass_seconds(one.micro_batch_size) == one.pass_seconds
    twice = BatchPlan(micro_batch_size=one.micro_batch_size, gradient_accumulation_steps=2)
    assert card.plan_seconds(twice) == 2 * one.pass_seconds + one.optimizer_seconds
    whole = [p.pass_seconds + p.optimizer_seconds for p in timing.passes]
    assert all(
        0.0 < card.step_seconds(batch) <= seconds + 1e-12
        for batch, seconds in zip(batches, whole, strict=True)
    )
    assert np.isfinite(card.evaluation_seconds)
