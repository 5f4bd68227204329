"""The search bench in small: grids answer as they were recorded, and judges are fair."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.search import ours
from benchmarks.search.card import CARDS
from benchmarks.search.ceiling import pickers, smooth
from benchmarks.search.draw import draw
from benchmarks.search.grid import Cell, Grid
from benchmarks.search.paired import common_repeats, interval, regret, table
from benchmarks.search.peers import keep_top, largest_batch, optuna_tpe, random_search
from benchmarks.search.peers.rig import Rig
from benchmarks.search.regret import judge
from benchmarks.search.rows import Row
from benchmarks.search.world import GridWorld
from tuner import curve
from tuner.records import MemoryTrial, Outcome
from tuner.tune import tune

PARTS = {
    "model": {"kind": "builtin", "name": "mlp"},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification", "optimizer": {"kind": "sgd", "momentum": 0.9}},
}
TARGET = 0.3
CRITICAL = 60.0
CARD = CARDS[0]
GOOD = Cell(batch_index=4, rate_index=5)


def recorded_grid() -> Grid:
    """Loss curves that follow a known law: S(B) = 150 (1 + 60 / B), best rate 0.1 at 64."""
    rng = np.random.default_rng(0)
    batches = 2 ** np.arange(2, 10)
    rates = 0.1 * 10 ** (0.4 * (np.arange(9) - 5))
    shape = (len(batches), len(rates), 8)
    steps = np.full((len(batches), 90), -1)
    curves = np.full((*shape, 90), np.nan)
    diverged = np.full(shape, -1)
    noise_steps = np.zeros((len(batches), 12), dtype=int)
    small, big = np.full((*shape, 12), np.nan), np.full((*shape, 12), np.nan)
    splits = np.minimum(8, batches // 2)
    for b, batch in enumerate(batches):
        needed = 150 * (1 + CRITICAL / batch)
        steps[b] = round(needed / 30) * (1 + np.arange(90))
        noise_steps[b] = np.linspace(0.05 * needed, needed, 12).astype(int)
        best = 0.1 * (1 + CRITICAL / 64) / (1 + CRITICAL / batch)
        for r, rate in enumerate(rates):
            ratio = rate / best
            if ratio > 9.0:
                diverged[b, r], curves[b, r, :, 0] = steps[b, 1], 2.5
                continue
            penalty = 1.5 * math.log(ratio) ** 2 / (1.0 + abs(math.log(ratio)))
            luck = np.exp(rng.normal(0.0, 0.1, 8))
            full = 2.3 * (TARGET / 2.3) ** np.sqrt(
                steps[b] / (needed * math.exp(penalty) * luck[:, None])
            )
            reached = np.argmax(full <= 0.9 * TARGET, axis=1)
            for s, end in enumerate(reached):
                last = end or 89
                curves[b, r, s, : last + 1] = full[s, : last + 1]
            micro = batch // splits[b]
            small[b, r], big[b, r] = 1 + CRITICAL / micro, 1 + CRITICAL / batch
    return Grid(
        name="known",
        batches=batches,
        rates=rates,
        seeds=np.arange(8),
        steps=steps,
        curves=curves,
        diverged=diverged,
        noise_steps=noise_steps,
        noise_small=small,
        noise_big=big,
        noise_splits=splits,
        meta={
            "target": TARGET,
            "metric": "validation_loss",
            "initial_loss": 2.3,
            "num_train": 20_000,
        },
    )


@pytest.fixture(scope="module")
def grid() -> Grid:
    """One grid for all."""
    return recorded_grid()


def a_rig(grid: Grid, budget_seconds: float) -> Rig:
    """A peer on the first card and draw."""
    return Rig(
        grid=grid,
        card=CARD,
        drawn=draw(0, 8),
        horizon_seconds=1000.0,
        budget_seconds=budget_seconds,
        rng=np.random.default_rng(0),
    )


def test_a_run_ends_where_the_recording_crossed_the_target(grid: Grid) -> None:
    """A run with room to spare crosses where the recorded curve does, and is charged for it."""
    result = grid.train(GOOD, 0, max_steps=10_000, card=CARD, target=TARGET)
    points = grid.recorded(GOOD, 0)
    assert result.outcome is Outcome.REACHED
    assert result.crossing_steps == curve.crossing_steps(points, TARGET, "validation_loss")
    assert result.crossing_steps == grid.crossings[GOOD.batch_index, GOOD.rate_index, 0]
    evaluations = len(result.curve) * CARD.evaluation_seconds
    steps = result.steps * CARD.step_seconds(grid.batch(GOOD))
    assert result.device_seconds == pytest.approx(steps + evaluations)


def test_a_limit_between_two_evaluations_is_evaluated(grid: Grid) -> None:
    """A run that ends between recorded evaluations has one at its very end, between the two."""
    first, second = grid.recorded(GOOD, 0)[:2]
    result = grid.train(GOOD, 0, max_steps=first.step + 1, card=CARD, target=TARGET)
    assert result.outcome is Outcome.CENSORED
    assert result.curve[-1].step == first.step + 1
    assert first.value > result.curve[-1].value > second.value


def test_a_checkpoint_is_not_paid_for_twice(grid: Grid) -> None:
    """Two halves of a run cost what the whole costs, but for the evaluation at the seam."""
    whole = grid.train(GOOD, 0, max_steps=101, card=CARD, target=TARGET)
    half = grid.train(GOOD, 0, max_steps=50, card=CARD, target=TARGET)
    rest = grid.train(GOOD, 0, max_steps=101, card=CARD, target=TARGET, done_steps=50)
    assert rest.curve == whole.curve
    assert half.train_seconds + rest.train_seconds == pytest.approx(whole.train_seconds)


def test_nothing_is_invented_beyond_the_recording(grid: Grid) -> None:
    """A run that goes on after its recording stands still, misses, and is charged in full."""
    slow = Cell(batch_index=4, rate_index=0)
    end = grid.recorded(slow, 0)[-1].step
    result = grid.train(slow, 0, max_steps=10 * end, card=CARD, target=TARGET)
    assert result.outcome is Outcome.CENSORED
    assert result.train_seconds == 10 * end * CARD.step_seconds(grid.batch(slow))
    assert curve.crossing_steps(result.curve, TARGET, "validation_loss") is None


def test_a_divergence_is_told_and_charged(grid: Grid) -> None:
    """A rate that diverged says so, and costs its steps until then."""
    wild = Cell(batch_index=0, rate_index=8)
    result = grid.train(wild, 0, max_steps=10_000, card=CARD, target=TARGET)
    assert result.outcome is Outcome.DIVERGED
    assert result.steps == grid.diverged[0, 8, 0]


def test_split_steps_are_charged(grid: Grid) -> None:
    """Measuring the noise scale gives windows, and takes longer."""
    plain = grid.train(GOOD, 0, max_steps=200, card=CARD, target=None)
    split = grid.train(GOOD, 0, max_steps=200, card=CARD, target=None, noise_windows=4)
    assert len(split.noise) == 4
    assert split.device_seconds > plain.device_seconds


@pytest.mark.parametrize("sampler", ours.samplers())
def test_a_job_is_answered_from_the_grid_alone(grid: Grid, sampler: str) -> None:
    """A whole job keeps its budget and its seeds, fits in memory, and finds a good cell."""
    drawn = draw(1, 8)
    judged = judge(grid, CARD, drawn)
    budget = 30 * judged.oracle_seconds
    advice = ours.advise(grid, CARD, drawn, PARTS, sampler=sampler, budget_seconds=budget)
    assert advice.cell is not None
    assert advice.note == "full"
    assert advice.out_of_memory == 0
    assert advice.spent_seconds <= 1.02 * budget
    assert judged.regret(advice.cell) < 1.0


def test_no_scoring_seed_is_ever_trained(grid: Grid) -> None:
    """Runs of a job touch the search seeds of its draw and no others."""
    drawn = draw(2, 8)
    touched: set[int] = set()

    @dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
    class Watched(Grid):
        def train(self, cell, seed_index, **more):
            touched.add(seed_index)
            return super().train(cell, seed_index, **more)

    fields = {field.name: getattr(grid, field.name) for field in dataclasses.fields(grid)}
    world = GridWorld(grid=Watched(**fields), card=CARD, drawn=drawn)
    spec = ours.spec_of(grid, PARTS, sampler="tpe", budget_seconds=20_000.0, seed=0)
    tune(spec, measure=world.measure)
    assert touched
    assert touched <= set(drawn.search)


def test_the_largest_micro_batch_fits_and_one_more_does_not(grid: Grid) -> None:
    """The world's memory is cut to the card's largest micro-batch, its margin included."""
    world = GridWorld(grid=grid, card=CARD, drawn=draw(0, 8))
    spec = ours.spec_of(grid, PARTS, sampler="tpe", budget_seconds=1e5, seed=0)
    usable = world.limit_bytes * (1.0 - spec.hardware.memory_margin)
    sizes = [CARD.largest_micro_batch_size, CARD.largest_micro_batch_size + 1]
    peaks = [world.measure(memory_trial(size, world.limit_bytes)).peak_bytes for size in sizes]
    assert peaks[0] <= usable < peaks[1]


def memory_trial(size: int, limit_bytes: int) -> MemoryTrial:
    """A request of one size."""
    return MemoryTrial(
        id="memory-0", workload=None, micro_batch_size=size, accumulation=2, limit_bytes=limit_bytes
    )


def test_draws_share_no_seed_between_searching_and_scoring() -> None:
    """Four seeds search, four others score, and repeats differ."""
    draws = [draw(repeat, 8) for repeat in range(30)]
    assert all(sorted((*one.search, *one.scoring)) == list(range(8)) for one in draws)
    assert len({frozenset(one.search) for one in draws}) > 15


def test_the_oracle_is_chosen_on_the_search_seeds(grid: Grid) -> None:
    """No cell is faster on the search seeds, and its own regret is nothing."""
    judged = judge(grid, CARD, draw(3, 8))
    assert judged.searched[judged.oracle.batch_index, judged.oracle.rate_index] == (
        judged.searched.min()
    )
    assert judged.regret(judged.oracle) == 0.0
    assert judged.regret_to_best(judged.oracle) >= 0.0
    assert all(judged.regret(cell) < 1.0 for cell in pickers(judged).values())


def test_smoothing_keeps_a_quadratic() -> None:
    """A smooth valley is left as it is, and noise on it is lessened."""
    rows, columns = np.mgrid[0:8, 0:15]
    valley = 0.01 * ((rows - 4) ** 2 + (columns - 7) ** 2)
    assert smooth(valley) == pytest.approx(valley)
    noisy = valley + np.random.default_rng(0).normal(0.0, 0.02, valley.shape)
    inner = (slice(1, -1), slice(1, -1))
    assert np.abs(smooth(noisy) - valley)[inner].mean() < np.abs(noisy - valley)[inner].mean()


@pytest.mark.parametrize(
    "search",
    [random_search.search, optuna_tpe.search, optuna_tpe.search_capped, keep_top.search,
     largest_batch.tuned],
)  # fmt: skip
def test_peers_advise_within_their_budget(grid: Grid, search) -> None:
    """Advice at a budget was paid for by it, and spending more is never asked about."""
    rig = a_rig(grid, 20_000.0)
    search(rig)
    advice = rig.trail.at(20_000.0)
    assert advice.cell is not None
    assert 0.0 < advice.spent_seconds <= 20_000.0
    assert rig.trail.at(0.0).cell is None


def test_a_cap_lets_tpe_try_more(grid: Grid) -> None:
    """With the same budget, runs cut at 1.3 times the best make room for more of them."""
    plain, capped = a_rig(grid, 30_000.0), a_rig(grid, 30_000.0)
    optuna_tpe.search(plain)
    optuna_tpe.search_capped(capped)
    assert capped.trials > plain.trials


def test_intervals_hold_the_mean_and_shrink_with_repeats() -> None:
    """More repeats of more workloads narrow the interval round the mean."""
    rng = np.random.default_rng(0)
    few, many = interval(rng.normal(0.1, 1.0, (4, 10))), interval(rng.normal(0.1, 1.0, (8, 300)))
    for one in (few, many):
        assert one.low < one.mean < one.high
    assert many.high - many.low < few.high - few.low


def test_repeats_that_a_workload_lacks_do_not_count() -> None:
    """Means over workloads are of the repeats that every one of them has."""
    names = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 2)]
    rows = [
        Row(
            workload=name,
            card="early-knee",
            method="random",
            limit="3x",
            repeat=repeat,
            budget=8,
            batch=32,
            learning_rate=0.1,
            regret=float(repeat),
            regret_to_best=0.0,
            rate_regret=0.0,
            failed=False,
            note="",
            spent_share=1.0,
            out_of_memory=0,
            trials=1,
        )
        for name, repeat in names
    ]
    assert common_repeats(rows) == [0, 2]
    assert table(rows, regret).tolist() == [[0.0, 2.0], [0.0, 2.0]]
