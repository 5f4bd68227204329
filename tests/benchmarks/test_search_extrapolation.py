"""Foreseeing where a run ends: laws that hold are found, errors are stated, trials are stopped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.search.beginnings import Runs, beginnings
from benchmarks.search.card import CARDS
from benchmarks.search.curve_laws import (
    FURTHEST,
    Reference,
    Seen,
    exponential,
    pace,
    pace_followed,
    power_law,
)
from benchmarks.search.draw import draw
from benchmarks.search.foreseen import Foresight, fit
from benchmarks.search.grid import Cell, Grid
from benchmarks.search.stopping import Rule, StoppingWorld
from tuner.records import BatchPlan, CurvePoint, Outcome, TrainingRun

CARD = CARDS[0]
TARGET = 0.5
STEPS = np.arange(4.0, 400.0, 4.0)


def a_run(losses: np.ndarray) -> Seen:
    """A run with these smoothed losses."""
    return Seen(steps=STEPS, losses=losses, initial_loss=3.0)


def small_grid() -> Grid:
    """Two batches of the same steps; rates need 100, 150, 300 and 600 steps, give or take."""
    rng = np.random.default_rng(0)
    needed = np.array([300.0, 150.0, 100.0, 600.0])[None, :, None] * np.exp(
        rng.normal(0.0, 0.05, (2, 4, 8))
    )
    curves = TARGET * np.exp(-0.004 * (STEPS - needed[..., None]))
    for index in np.ndindex(2, 4, 8):
        ended = np.flatnonzero(curves[index] < 0.97 * TARGET)
        curves[index][slice(ended[0] + 1, None) if len(ended) else slice(0, 0)] = np.nan
    return Grid(
        name="known",
        batches=np.array([64, 128]),
        rates=np.array([0.01, 0.03, 0.1, 0.3]),
        seeds=np.arange(8),
        steps=np.tile(STEPS.astype(int), (2, 1)),
        curves=curves,
        diverged=np.full((2, 4, 8), -1),
        noise_steps=np.zeros((2, 0), dtype=int),
        noise_small=np.zeros((2, 4, 8, 0)),
        noise_big=np.zeros((2, 4, 8, 0)),
        noise_splits=np.array([8, 8]),
        meta={
            "target": TARGET, "metric": "validation_loss", "initial_loss": 3.0, "num_train": 9000,
        },
    )  # fmt: skip


def request(rate: float, max_steps: int, name: str = "search-0") -> TrainingRun:
    """A run of batch 64."""
    return TrainingRun(
        id=name,
        workload=None,
        plan=BatchPlan(micro_batch_size=64),
        learning_rate=rate,
        seed=5,
        max_steps=max_steps,
        evaluate_every_steps=4,
        target=TARGET,
        device_kind="cpu",
    )


@pytest.mark.parametrize("tail", [0.3, 0.75])
def test_a_law_that_holds_is_followed_to_the_target(tail: float) -> None:
    """A power law and an exponential each foresee their own curve's end."""
    powers = a_run(TARGET * (STEPS / 300.0) ** -0.4)
    decays = a_run(TARGET * np.exp(-0.005 * (STEPS - 300.0)))
    assert power_law(powers.until(100), TARGET, tail) == pytest.approx(math.log(3.0))
    assert exponential(decays.until(100), TARGET, tail) == pytest.approx(math.log(3.0))


def test_a_run_of_half_the_pace_needs_twice_the_time() -> None:
    """The pace against a reference says how much longer a run needs, its own or another's step."""
    fast = a_run(TARGET * (STEPS / 100.0) ** -0.4)
    slow = a_run(TARGET * (STEPS / 200.0) ** -0.4)
    reference = Reference(seen=fast, crossing=100.0)
    seen = slow.until(80)
    assert pace(seen, reference) == pytest.approx(math.log(200 / 80), abs=1e-2)
    assert pace_followed(seen, reference, 0.5) == pytest.approx(math.log(200 / 80), abs=2e-2)


def test_a_run_that_stands_still_is_foreseen_far_away() -> None:
    """A flat curve is put at the furthest, by every law of one curve."""
    flat = a_run(np.full(len(STEPS), 1.0)).until(100)
    assert power_law(flat, TARGET, 0.5) == FURTHEST
    assert exponential(flat, TARGET, 0.5) == FURTHEST


def test_curves_are_smoothed_as_every_job_smooths_them() -> None:
    """Values that are not finite are left out, and the rest is the moving average."""
    points = [CurvePoint(step=s, value=v) for s, v in ((1, 2.0), (2, 1.0), (3, math.inf))]
    seen = Seen.of(points, 3.0)
    assert seen.steps.tolist() == [1.0, 2.0]
    assert seen.losses.tolist() == pytest.approx([2.0, 4.0 / 3.0])


def test_the_stated_error_is_that_of_what_was_fitted() -> None:
    """Nine in ten truths lie within the interval, and one in twenty below its bound."""
    rng = np.random.default_rng(1)
    raw = {"one": rng.uniform(0.2, 2.0, 4000), "other": rng.uniform(0.2, 2.0, 4000)}
    truth = np.maximum(
        0.3 + 0.8 * raw["one"] + rng.normal(0.0, 0.05 + 0.1 * raw["one"]), 0.0
    )  # fmt: skip
    method = fit(raw, truth, ["one", "other"])
    assert method.weights == pytest.approx([0.3, 0.8, 0.0], abs=0.03)
    low, high = method.bound(raw, 0.05), method.bound(raw, 0.95)
    assert np.mean((truth >= low) & (truth <= high)) == pytest.approx(0.9, abs=0.01)
    assert np.mean(truth < low) == pytest.approx(0.05, abs=0.01)
    assert method.error(raw)[raw["one"].argmax()] > method.error(raw)[raw["one"].argmin()]


def test_beginnings_know_only_what_had_been_seen() -> None:
    """The truth is that of the recording, and a run that had ended is not asked about."""
    runs = Runs(grid=small_grid(), card=CARD)
    found = list(beginnings(runs))
    assert found
    assert all(one.truth > 0.0 for one in found)
    assert {one.share for one in found} <= {0.25, 0.4, 0.5, 0.7}
    assert all(one.ratio <= one.share for one in found)
    assert runs.incumbent == Cell(batch_index=0, rate_index=2)


def test_a_slow_trial_is_stopped_and_a_good_one_is_not() -> None:
    """Three times the incumbent is stopped early and told as asked; a good trial runs on."""
    grid = small_grid()
    foresight = Foresight(
        laws=("pace",),
        weights=np.array([0.0, 1.0]),
        spread=np.array([0.05, 0.0]),
        quantiles={0.05: -1.6},
    )
    told = {}
    for telling in ("cut", "bound"):
        rule = Rule(foresight=foresight, quantile=0.05, telling=telling)
        world = StoppingWorld(grid=grid, card=CARD, drawn=draw(0, 8), rule=rule, watching=(rule,))
        assert world.measure(request(0.1, 140, "race-0-0")).outcome is Outcome.REACHED
        assert world.measure(request(0.1, 140)).outcome is Outcome.REACHED
        told[telling] = world.measure(request(0.01, 140))
        plain = grid.train(
            Cell(batch_index=0, rate_index=0), 0, max_steps=140, card=CARD, target=TARGET
        )
        assert told[telling].outcome is Outcome.CENSORED
        assert told[telling].device_seconds < 0.7 * plain.device_seconds
        good, slow = world.trials
        assert good.stopped_seconds == (None,)
        assert slow.stopped_seconds == (told[telling].device_seconds,)
        assert slow.seconds > 2.0 * slow.incumbent_seconds
    assert told["bound"].steps > told["cut"].steps
    assert told["bound"].steps > 110
