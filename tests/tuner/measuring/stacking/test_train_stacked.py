"""Stacked runs are held against the same runs trained alone."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tuner.measuring.stacking.subjects import (
    SUBJECTS,
    bench_of,
    cnn,
    mlp,
    requests_of,
    text,
)
from tests.tuner.measuring.subjects import ADAM, SGD, nobody
from tuner.measuring.stacking import train_stacked
from tuner.measuring.train import train
from tuner.measuring.workbench import Workbench
from tuner.records import BatchPlan, Measure, Outcome, TrainingResult, TrainingRun, Workload

DECAYED = {"kind": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
OPTIMIZERS = {
    "sgd": {"kind": "sgd"},
    "momentum": SGD,
    "nesterov": DECAYED,
    "adam": {**ADAM, "weight_decay": 0.01},
    "adamw": {"kind": "adamw", "weight_decay": 0.1},
    "rmsprop": {"kind": "rmsprop", "momentum": 0.5},
}


def alone(bench: Workbench, request: TrainingRun) -> TrainingResult:
    """Train a run as every job trains it."""
    return train(lambda: bench, request, tightened=nobody, began=time.perf_counter())


def same(one: TrainingResult, other: TrainingResult, *, relative: float = 2e-4) -> None:
    """Assert that two results tell the same, up to rounding."""
    assert (one.outcome, one.steps, one.limit_applied) == (
        other.outcome,
        other.steps,
        other.limit_applied,
    )
    assert [point.step for point in one.curve] == [point.step for point in other.curve]
    assert [point.value for point in one.curve] == pytest.approx(
        [point.value for point in other.curve], rel=relative
    )
    crossings = [one.crossing_steps, other.crossing_steps]
    assert crossings == [None, None] or crossings[0] == pytest.approx(crossings[1], rel=relative)
    mine, theirs = one.noise, other.noise
    assert [(w.step, w.small_batch_size, w.splits) for w in mine] == [
        (w.step, w.small_batch_size, w.splits) for w in theirs
    ]
    for part in ("small", "big"):
        assert [getattr(w, part) for w in mine] == pytest.approx(
            [getattr(w, part) for w in theirs], rel=20 * relative
        )


def hold(workload: Workload, folder: Path, **changes: Any) -> list[TrainingResult]:
    """Train runs together and alone, assert that they agree, and hand them back."""
    bench = bench_of(workload, folder)
    requests = requests_of(workload, **changes)
    results = train_stacked(bench, requests)
    for request, result in zip(requests, results, strict=True):
        same(result, alone(bench, request))
    return results


@pytest.fixture(params=[2, 10**9], ids=["traced", "mapped"], autouse=True)
def trace_after(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this holds for passes that are written down, and for those that are not."""
    monkeypatch.setattr("tuner.measuring.stacking.passes.TRACE_AFTER", request.param)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_kind_of_model_trains_as_alone(subject: str, tmp_path: Path) -> None:
    """Perceptrons, convolutions and transformers give the same curves and noise windows."""
    results = hold(
        SUBJECTS[subject](tmp_path), tmp_path, measure=Measure(noise_windows=2, noise_splits=4)
    )
    assert all(len(result.noise) == 2 for result in results)
    assert len({result.curve[-1].value for result in results}) == len(results)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps_as_alone(name: str, tmp_path: Path) -> None:
    """One step at rate one, of which each run goes its share, is that optimizer's own step."""
    hold(mlp(optimizer=OPTIMIZERS[name]), tmp_path, measure=Measure(noise_windows=1))


def test_clipping_holds_for_each_run_by_itself(tmp_path: Path) -> None:
    """A run with a large gradient is clipped, the run beside it is not."""
    hold(mlp(gradient_clip_norm=0.5), tmp_path)


def test_schedules_give_each_run_its_own_rate(tmp_path: Path) -> None:
    """A cosine with a warm-up reaches every run at its own height."""
    schedule = {"kind": "cosine", "warmup_samples": 100, "horizon_samples": 500}
    hold(mlp(schedule=schedule), tmp_path)


def test_accumulated_passes_add_up_as_alone(tmp_path: Path) -> None:
    """Four passes of four samples make a step of sixteen, with text that is padded, too."""
    plan = BatchPlan(micro_batch_size=4, gradient_accumulation_steps=4)
    hold(text(tmp_path, padded=True), tmp_path, plan=plan, measure=Measure(noise_windows=1))


def test_batch_norm_keeps_statistics_for_each_run(tmp_path: Path) -> None:
    """Running statistics follow each run, through accumulated passes and noise windows."""
    plan = BatchPlan(micro_batch_size=8, gradient_accumulation_steps=2)
    hold(cnn(batch_norm=True), tmp_path, plan=plan, measure=Measure(noise_windows=1))


def test_dropout_draws_what_a_lone_run_draws(tmp_path: Path) -> None:
    """Runs of one seed drop the same values, those that each would have dropped alone."""
    hold(mlp(dropout=0.3), tmp_path, seeds=(3, 3, 3), measure=Measure(noise_windows=1))


def test_accuracy_is_counted_for_each_run(tmp_path: Path) -> None:
    """Where the metric is accuracy, each run has its own, and its own loss as a guard."""
    workload = dataclasses.replace(mlp(), metric="accuracy")
    results = hold(workload, tmp_path)
    assert all(0.0 <= point.value <= 1.0 for result in results for point in result.curve)


def test_runs_leave_where_they_end(tmp_path: Path) -> None:
    """One run reaches the target, one diverges, one hits its limit: none disturbs another."""
    results = hold(
        mlp(),
        tmp_path,
        rates=(0.05, 1e-4, 1000.0),
        target=1.2,
        max_steps=60,
        evaluate_every_steps=5,
    )
    assert [result.outcome for result in results] == [
        Outcome.REACHED,
        Outcome.CENSORED,
        Outcome.DIVERGED,
    ]
    assert results[0].steps < results[1].steps == 60


def test_a_tighter_limit_holds_for_the_run_that_it_was_told_for(tmp_path: Path) -> None:
    """The run ends there with an evaluation off the cadence; the others do not notice."""
    workload = mlp()
    bench, requests = bench_of(workload, tmp_path), requests_of(workload)
    results = train_stacked(
        bench, requests, tightened=lambda name: 7 if name == requests[1].id else None
    )
    lone = train(lambda: bench, requests[1], tightened=lambda: 7, began=time.perf_counter())
    assert (results[1].steps, results[1].limit_applied) == (7, 7)
    same(results[1], lone)
    for place in (0, 2):
        same(results[place], alone(bench, requests[place]))


def test_a_deadline_ends_all_runs_as_censored(tmp_path: Path) -> None:
    """A deadline that has passed lets no run take a step."""
    workload = mlp()
    requests = requests_of(workload, deadline_seconds=1.0)
    results = train_stacked(bench_of(workload, tmp_path), requests, began=time.perf_counter() - 2.0)
    assert {(result.outcome, result.steps) for result in results} == {(Outcome.CENSORED, 0)}


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_checkpoints_pass_between_stacked_and_lone_runs(
    optimizer: dict[str, Any], tmp_path: Path
) -> None:
    """What a stack leaves, a lone run goes on from, and the other way round."""
    workload = mlp(optimizer=optimizer)
    bench = bench_of(workload, tmp_path)
    short = requests_of(workload, checkpoint=True, max_steps=20)
    stacked = train_stacked(bench, short)
    lone = [alone(bench, request) for request in short]
    whole = [alone(bench, request) for request in requests_of(workload)]
    assert [one.checkpoint for one in stacked] == [one.checkpoint for one in lone]
    later = [
        dataclasses.replace(request, resume_from=result.checkpoint)
        for request, result in zip(requests_of(workload), stacked, strict=True)
    ]
    for together, one, uninterrupted in zip(
        train_stacked(bench, later), [alone(bench, each) for each in later], whole, strict=True
    ):
        assert together.resumed
        assert one.resumed
        same(together, uninterrupted)
        same(one, uninterrupted)


def test_runs_from_different_steps_do_not_mix(tmp_path: Path) -> None:
    """One run goes on from its checkpoint, the others begin: each ends as it would alone."""
    workload = mlp(optimizer=ADAM)
    bench = bench_of(workload, tmp_path)
    left = alone(bench, requests_of(workload, checkpoint=True, max_steps=20)[0])
    first, *others = requests_of(workload)
    results = train_stacked(
        bench, [dataclasses.replace(first, resume_from=left.checkpoint), *others]
    )
    assert [result.resumed for result in results] == [True, False, False]
    for result, request in zip(results, [first, *others], strict=True):
        same(result, alone(bench, request))


def test_sharpness_is_that_of_each_run(tmp_path: Path) -> None:
    """The measures at the end of a stacked run are those at the end of a lone one."""
    workload = mlp()
    bench = bench_of(workload, tmp_path)
    requests = requests_of(workload, measure=Measure(sharpness=True))[:2]
    for request, result in zip(requests, train_stacked(bench, requests), strict=True):
        lone = alone(bench, request).sharpness
        assert lone is not None
        assert result.sharpness is not None
        assert result.sharpness.asam == pytest.approx(lone.asam, rel=1e-2)
        assert result.sharpness.hessian_top_eigenvalue == pytest.approx(
            lone.hessian_top_eigenvalue, rel=1e-2
        )


def test_seconds_are_shared_out(tmp_path: Path) -> None:
    """The runs' device seconds add up to no more than the wall seconds of them all."""
    workload = mlp()
    began = time.perf_counter()
    results = train_stacked(bench_of(workload, tmp_path), requests_of(workload))
    wall = time.perf_counter() - began
    spent = sum(result.train_seconds + result.evaluation_seconds for result in results)
    assert 0.0 < spent <= sum(result.device_seconds for result in results) <= wall
    assert all(result.train_steps == 40 for result in results)


def test_what_does_not_fit_together_is_trained_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a stack runs out of memory, the same results come one after the other."""

    def full(*_arguments: Any) -> None:
        raise torch.OutOfMemoryError("no room for so many")

    workload = mlp()
    bench, requests = bench_of(workload, tmp_path), requests_of(workload)
    monkeypatch.setattr("tuner.measuring.stacking.heat.Heat.to_the_end", full)
    for request, result in zip(requests, train_stacked(bench, requests), strict=True):
        same(result, alone(bench, request))


class Killed(BaseException):
    """The process died here."""


def test_a_stack_that_dies_leaves_what_its_runs_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side or alone, a second attempt goes on from where the first was seen last."""
    workload = mlp(optimizer=ADAM)
    bench, requests = bench_of(workload, tmp_path), requests_of(workload)
    whole = [alone(bench, request) for request in requests]
    monkeypatch.setattr("tuner.measuring.stacking.heat.RESCUE_SECONDS", 0.0)
    looks = iter(range(100))

    def dying(_id: str) -> int | None:
        if next(looks) > 7:
            raise Killed
        return None

    with pytest.raises(Killed):
        train_stacked(bench, requests, tightened=dying)
    assert len(list(tmp_path.glob("*.pt"))) == len(requests)
    first, *others = requests
    after = [alone(bench, first), *train_stacked(bench, others)]
    for one, uninterrupted in zip(after, whole, strict=True):
        assert one.resumed
        same(one, uninterrupted)
    assert list(tmp_path.glob("*.pt")) == []
