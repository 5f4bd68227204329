"""The recorder of the search bench: how runs end, and that they are those of every job."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search import record
from benchmarks.search.prepare_data import ALPHABET, counts_of, split, token_ids
from benchmarks.search.stacked_runs import record_batch
from benchmarks.search.workloads import BATCHES, BY_NAME, WORKLOADS, Recorded
from tuner.curve import crossing_steps
from tuner.measuring.train import train
from tuner.measuring.workbench import Workbench
from tuner.records import BatchPlan, CurvePoint, Measure, Outcome, TrainingRun
from tuner.spec import TuningSpec

SEEDS = (0, 1, 2)
BATCH = 64


@pytest.fixture(scope="module")
def small() -> Recorded:
    """A workload that reaches its target within a few dozen steps."""
    return dataclasses.replace(
        BY_NAME["digits-mlp-sgd"],
        model={"kind": "builtin", "name": "mlp", "options": {"hidden": [8]}},
        target=1.0,
        batches=(BATCH,),
        cadence=(4,),
    )


@pytest.fixture(scope="module")
def bench(small: Recorded) -> Workbench:
    """The workload, set up."""
    return record.bench_of(small)


@pytest.fixture(scope="module")
def arrays(bench: Workbench, small: Recorded) -> dict[str, np.ndarray]:
    """What the recorder makes of it."""
    return record_batch(bench, small, BATCH, SEEDS)


def points(arrays: dict[str, np.ndarray], rate: int, seed: int) -> list[CurvePoint]:
    """Read one run's evaluations."""
    pairs = zip(arrays["steps"], arrays["curves"][rate, seed], strict=True)
    return [CurvePoint(step=int(at), value=float(v)) for at, v in pairs if np.isfinite(v)]


def test_a_recorded_run_is_the_run_of_a_job(
    arrays: dict[str, np.ndarray], bench: Workbench, small: Recorded
) -> None:
    """Curve, end and noise window of a cell are those of the ordinary training, to rounding."""
    rate, seed = 9, 1
    recorded = points(arrays, rate, seed)
    request = TrainingRun(
        id="lone",
        workload=small.workload,
        plan=BatchPlan(micro_batch_size=BATCH),
        learning_rate=small.rates[rate],
        seed=SEEDS[seed],
        max_steps=100,
        evaluate_every_steps=4,
        target=small.target,
        device_kind="cpu",
        measure=Measure(noise_windows=100),
    )
    lone = train(lambda: bench, request, tightened=lambda: None, began=time.perf_counter())
    assert lone.outcome is Outcome.REACHED
    assert [p.step for p in recorded] == [p.step for p in lone.curve]
    assert [p.value for p in recorded] == pytest.approx([p.value for p in lone.curve], rel=1e-4)
    at = int(arrays["noise_steps"][0])
    window = next(window for window in lone.noise if window.step == at)
    assert float(arrays["noise_small"][rate, seed, 0]) == pytest.approx(window.small, rel=1e-3)
    assert float(arrays["noise_big"][rate, seed, 0]) == pytest.approx(window.big, rel=1e-3)
    assert int(arrays["noise_splits"]) == window.splits


def test_runs_end_at_the_target_or_at_the_cap(
    arrays: dict[str, np.ndarray], small: Recorded
) -> None:
    """A run's last evaluation is its crossing, its divergence, or the last one before the cap."""
    last = int(arrays["steps"][-1])
    assert int(arrays["cap"]) <= last < int(arrays["cap"]) + 4
    for rate in range(len(small.rates)):
        for seed in range(len(SEEDS)):
            curve = points(arrays, rate, seed)
            crossed = crossing_steps(curve, small.target, "validation_loss") is not None
            before = crossing_steps(curve[:-1], small.target, "validation_loss")
            assert before is None
            diverged = int(arrays["diverged"][rate, seed])
            assert crossed or diverged >= 0 or curve[-1].step == last


def test_the_cap_is_three_times_the_best_rate(
    arrays: dict[str, np.ndarray], small: Recorded
) -> None:
    """A third of the cap is where a first rate has more than half of its seeds at the target."""
    ends = []
    for rate in range(len(small.rates)):
        curves = [points(arrays, rate, seed) for seed in range(len(SEEDS))]
        reached = sorted(
            curve[-1].step
            for curve in curves
            if crossing_steps(curve, small.target, "validation_loss") is not None
        )
        if len(reached) > len(SEEDS) // 2:
            ends.append(reached[len(SEEDS) // 2])
    assert int(arrays["cap"]) == 3 * min(ends)


def test_batch_sizes_of_different_length_make_one_file(
    small: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shorter recordings are padded: steps by -1, curves by NaN; the facts name no path."""
    monkeypatch.setattr(record, "PARTIAL", tmp_path)
    monkeypatch.setattr(record, "GRIDS", tmp_path / "grids")
    two = dataclasses.replace(small, batches=(64, 256), cadence=(4, 4))
    monkeypatch.setattr(record, "SEEDS", SEEDS[:2])
    monkeypatch.setitem(BY_NAME, two.name, two)
    for batch in two.batches:
        assert record.record_part(two.name, batch) > 0.0
    with np.load(record.assemble(two)) as grid:
        evaluations = grid["steps"].shape[1]
        assert grid["curves"].shape == (2, 15, 2, evaluations)
        assert grid["noise_small"].shape == (2, 15, 2, grid["noise_steps"].shape[1])
        assert grid["noise_splits"].tolist() == [8, 8]
        for row, curves in zip(grid["steps"], grid["curves"], strict=True):
            assert np.isnan(curves[..., row < 0]).all()
            assert (np.diff(row[row > 0]) == 4).all()
        meta = json.loads(str(grid["meta"]))
    assert meta["target"] == small.target
    assert str(Path.home()) not in json.dumps(meta)


def test_the_workloads_are_specs_of_users() -> None:
    """Every one of them is a request that the service takes, and rates lie 0.2 decades apart."""
    for recorded in WORKLOADS:
        spec = TuningSpec.model_validate(
            {
                "model": recorded.model,
                "dataset": recorded.dataset,
                "training": recorded.training,
                "objective": {"kind": "time_to_target", "target": recorded.target},
            }
        )
        assert spec.training.model_dump() == {**spec.training.model_dump(), **recorded.training}
        assert recorded.batches == BATCHES
        assert np.diff(np.log10(recorded.rates)) == pytest.approx([0.2] * 14, abs=1e-5)
    assert [recorded.kind for recorded in WORKLOADS].count("dev") == 4


def test_samples_for_validation_are_not_trained_on() -> None:
    """The two parts of a split share no sample and lose none."""
    parts = split(np.arange(50), np.arange(50), 7)
    assert len(parts["x_val"]) == 7
    assert sorted([*parts["x_train"], *parts["x_val"]]) == list(range(50))
    assert (parts["x_val"] == parts["y_val"]).all()


def test_text_becomes_few_tokens() -> None:
    """Capitals are read as small letters, digits as 0, rare characters as one token."""
    ids = token_ids("aA19~§xy", 4)
    assert ids.shape == (2, 4)
    assert ids[0, 0] == ids[0, 1] == ALPHABET.index("a")
    assert ids[0, 2] == ids[0, 3] == ALPHABET.index("0")
    assert ids[1, 0] == ids[1, 1] == len(ALPHABET)


def test_lines_are_counted() -> None:
    """A longer indentation and one more comma show in the counts."""
    one, other = counts_of("f(a, b)"), counts_of("    f(a, b, c)")
    assert len(one) == len(other)
    assert sum(b > a for a, b in zip(one, other, strict=True)) >= 3
