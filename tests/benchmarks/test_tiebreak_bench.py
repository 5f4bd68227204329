"""Whether the tie-break pays: split cleanly, picked by the product, judged on unseen seeds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.search.card import CARDS
from benchmarks.search.grid import Grid, load
from benchmarks.search.record import GRIDS
from benchmarks.search.workloads import BY_NAME
from benchmarks.tiebreak import training
from benchmarks.tiebreak.effects import DRAWS, effect, pooled, rank_correlation
from benchmarks.tiebreak.picks import RULES, Pick, picks
from benchmarks.tiebreak.setting import (
    LEAST,
    MOST,
    MOST_PER_BATCH,
    Candidate,
    Setting,
    candidate_cells,
    job_of,
)
from benchmarks.tiebreak.splits import ThreeWay, places_of, three_way
from benchmarks.tiebreak.training import SEEDS, Trained, request_of
from tuner.measuring.dispatch import Measuring
from tuner.measuring.workbench import set_up
from tuner.records import (
    CurvePoint,
    Outcome,
    PassTiming,
    Sharpness,
    TimingMeasurement,
    TrainingResult,
)

RECORDED = BY_NAME["digits-mlp-sgd"]
STEP_SECONDS = {64: 0.001, 128: 0.0012}
RATES = (0.1, 0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the parts and checkpoints go."""
    return tmp_path_factory.mktemp("three")


@pytest.fixture(scope="module")
def split(folder: Path) -> ThreeWay:
    """Digits, cut in three."""
    return three_way(RECORDED, folder)


@pytest.fixture(scope="module")
def setting() -> Setting:
    """Two batches at two rates, all believed to be equally fast."""
    passes = tuple(
        PassTiming(
            micro_batch_size=batch,
            pass_seconds=STEP_SECONDS.get(batch, batch * 2e-5),
            optimizer_seconds=0.0,
            input_seconds=0.0,
            spread=0.0,
            windows=(STEP_SECONDS.get(batch, batch * 2e-5),),
        )
        for batch in RECORDED.batches
    )
    return Setting(
        candidates=tuple(
            Candidate(global_batch_size=batch, learning_rate=rate, believed=-1.0)
            for batch in STEP_SECONDS
            for rate in RATES
        ),
        target=0.5,
        timing=TimingMeasurement(passes=passes, evaluation_seconds=0.0, device_seconds=0.0),
    )


def _trained(split: ThreeWay, setting: Setting, asam: dict[int, float]) -> list[Trained]:
    """Runs whose times differ between seeds alone, candidate 0 a little ahead of the others."""
    job = job_of(split, setting)
    rng = np.random.default_rng(0)
    made = []
    for candidate, one in enumerate(setting.candidates):
        for seed in range(SEEDS):
            request = request_of(job, setting, candidate, seed)
            seconds = 0.2 * np.exp(0.1 * rng.standard_normal() + 0.05 * (candidate > 0))
            steps = round(seconds / STEP_SECONDS[one.global_batch_size])
            flat = asam[candidate] * float(np.exp(0.01 * rng.standard_normal()))
            result = TrainingResult(
                outcome=Outcome.REACHED,
                steps=steps,
                crossing_steps=float(steps),
                curve=(CurvePoint(step=steps, value=setting.target),),
                sharpness=Sharpness(
                    asam=flat, keskar=None, hessian_top_eigenvalue=None, num_samples=1
                ),
                device_seconds=seconds,
                limit_applied=request.max_steps,
            )
            made.append(
                Trained(
                    candidate=candidate,
                    seed=seed,
                    request=request,
                    result=result,
                    test_loss=0.5,
                    test_accuracy=None,
                )
            )
    return made


def test_parts_share_no_sample(split: ThreeWay, folder: Path) -> None:
    """What is tested on was neither trained on nor validated on, and nothing was lost."""
    bench = set_up(split.recorded.workload, places_of(folder))
    parts = [bench.data.train.inputs, bench.data.validation.inputs, split.test.inputs]
    whole = [{row.numpy().tobytes() for row in part} for part in parts]
    assert split.samples == tuple(len(part) for part in parts)
    assert sum(split.samples) == 1797
    assert not whole[0] & whole[2]
    assert not whole[1] & whole[2]


def test_splits_are_read_back_as_they_were_written(split: ThreeWay, folder: Path) -> None:
    """A second call gives the same test part, and the data set of files is what training sees."""
    again = three_way(RECORDED, folder)
    assert torch.equal(again.test.inputs, split.test.inputs)
    assert again.samples == split.samples


def test_candidates_follow_the_stated_rule() -> None:
    """Cells come quickest first, few of one batch, of two batches at least, and without a gap."""
    grid: Grid = load(GRIDS / "digits-cnn-adam.npz")
    for card in CARDS:
        cells, scores = candidate_cells(grid, card)
        batches = [one.batch_index for one in cells]
        assert LEAST <= len(cells) <= MOST
        assert scores == sorted(scores)
        assert len(set(batches)) > 1
        assert max(batches.count(one) for one in batches) <= MOST_PER_BATCH


def test_the_product_picks_the_flatter_of_equals(split: ThreeWay, setting: Setting) -> None:
    """Where time tells nothing apart, most confirmations with the flattest candidate name it."""
    flat = _trained(split, setting, {0: 1.0, 1: 1.0, 2: 0.5, 3: 1.0})
    made = list(picks(split, setting, flat, RULES[0]))
    named = [one.chosen for one in made]
    assert len(made) == 56
    assert named.count(2) > len(named) / 2
    assert all(one.chosen in {2, one.fastest} for one in made)


def test_a_choice_is_judged_on_seeds_it_has_not_seen() -> None:
    """Differences on the seeds of a confirmation do not count, those on the others do."""
    values = np.zeros((2, 8))
    values[1] = [-9.0, -9.0, -9.0, 0.1, 0.1, 0.1, 0.1, 0.1]
    found = effect([Pick(seeds=(0, 1, 2), fastest=0, chosen=1)], values)
    assert found.mean == pytest.approx(0.1)
    assert np.nanmax(np.abs(found.draws - 0.1)) < 1e-12
    assert len(found.draws) == DRAWS


def test_nothing_chosen_is_no_effect() -> None:
    """Where time chose every time there is nothing to compare, and that is said."""
    found = effect([Pick(seeds=(0, 1, 2), fastest=0, chosen=0)], np.zeros((2, 8)))
    assert found.plain() is None


def test_intervals_hold_a_known_difference() -> None:
    """Over worlds with a known difference the interval of all draws holds it mostly."""
    rng = np.random.default_rng(3)
    made = [
        Pick(seeds=(a, b, c), fastest=0, chosen=1)
        for a in range(8)
        for b in range(a)
        for c in range(b)
    ]
    held = 0
    for _ in range(60):
        values = np.stack([np.zeros(8), -0.2 + 0.1 * rng.standard_normal(8)])
        plain = effect(made, values).plain()
        assert plain is not None
        held += plain["low"] <= -0.2 <= plain["high"]
    assert 48 <= held <= 60


def test_workloads_count_once_each() -> None:
    """The pooled mean is that of the workloads' means, and both intervals hold it."""
    values = [np.stack([np.zeros(8), np.full(8, shift)]) for shift in (-0.1, -0.3)]
    made = [Pick(seeds=(0, 1, 2), fastest=0, chosen=1)]
    whole = pooled([effect(made, each) for each in values])
    assert whole["mean"] == pytest.approx(-0.2)
    assert whole["workloads"] == 2
    assert whole["these_workloads"] == {"low": -0.2, "high": -0.2}


def test_ranks_are_compared_over_candidates() -> None:
    """A measure that orders the candidates as the test loss does has tau 1."""
    table = np.array([[1.0, 1.2], [2.0, 2.2], [3.0, np.nan]])
    assert rank_correlation(table, np.exp(table)) == 1.0
    assert rank_correlation(table, -table) == -1.0


@pytest.mark.full
def test_the_test_part_is_looked_at_with_what_the_run_ended_with(
    split: ThreeWay, setting: Setting, folder: Path
) -> None:
    """A trained checkpoint is better on the test part than the untrained model it began as."""
    job = job_of(split, setting)
    measuring = Measuring(places_of(folder))
    request = dataclasses.replace(request_of(job, setting, 0, 0), max_steps=60)
    result = measuring.measure(request, tightened=lambda: None)
    assert isinstance(result, TrainingResult)
    assert result.checkpoint is not None
    assert result.sharpness is not None
    bench = set_up(job.workload, measuring.places)
    path = measuring.places.artifacts / result.checkpoint
    loss, accuracy = training.tested(bench, split, path, request.seed)
    assert accuracy is not None
    assert loss < 1.5
    assert accuracy > 0.6
