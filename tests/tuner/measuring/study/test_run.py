"""A study's run: how it goes, where it stops, and what it says about the way."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from tests.tuner.measuring.study.subjects import (
    NUM_TRAIN,
    RPROP,
    digits,
    images,
    ran,
    study_run,
    training,
)
from tests.tuner.measuring.subjects import bench_of
from tuner.measuring.batches import SampleOrder
from tuner.measuring.step import TrainingStep
from tuner.measuring.study import minimiser, run
from tuner.measuring.study.attempt import attempt_name
from tuner.measuring.study.losses import Losses, losses_of
from tuner.measuring.study.travel import Travel
from tuner.records import StudyOutcome


def shown(result):
    """What a run showed, apart from its times and from how it came about."""
    return result.outcome, result.points, result.minimum, result.layers


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """The digits, warm for all tests."""
    return bench_of(digits(), tmp_path_factory.mktemp("none"))


@pytest.fixture
def bench(warm, tmp_path):
    """The same, with artifacts of its own."""
    return dataclasses.replace(
        warm, places=dataclasses.replace(warm.places, artifacts=tmp_path / "artifacts")
    )


def test_a_point_an_epoch_and_one_before(bench):
    """A batch that does not divide the data is evaluated at the first step beyond an epoch."""
    result = ran(bench, study_run(bench.workload, global_batch_size=500, micro_batch_size=500))
    steps = [math.ceil(epoch * NUM_TRAIN / 500) for epoch in range(5)]
    assert [point.step for point in result.points] == steps == [0, 3, 6, 9, 12]
    assert [point.epoch for point in result.points] == [step * 500 / NUM_TRAIN for step in steps]
    assert result.outcome is StudyOutcome.EXHAUSTED
    assert result.train_steps == 12
    first = result.points[0]
    assert first.distance == 0.0
    assert (first.epoch_distance, first.update_norm, first.gradient_norm) == (None, None, None)


def test_losses_are_those_of_both_splits(bench):
    """The first point is the untrained model on all of both splits, in eval mode."""
    point = ran(bench, study_run(bench.workload, max_epochs=1)).points[0]
    model = bench.model(3).eval()
    for split, seen in ((bench.train, point.train_loss), (bench.validation, point.validation_loss)):
        with torch.no_grad():
            total = bench.criterion.loss_sum(model, *split.run(slice(0, len(split))))
        assert seen == pytest.approx(float(total) / len(split), rel=1e-5)
    assert 0.0 <= point.validation_metric <= 1.0


def test_patience_ends_a_run_at_its_minimum(bench):
    """A run converges once its patience has passed without a new minimum, which it names."""
    result = ran(
        bench, study_run(bench.workload, learning_rate=0.1, max_epochs=300, patience_epochs=3)
    )
    losses = [point.validation_loss for point in result.points]
    assert result.outcome is StudyOutcome.CONVERGED
    assert result.minimum == losses.index(min(losses)) == len(losses) - 4
    assert result.points[result.minimum].validation_metric > 0.85


def test_the_minimiser_is_the_weights_at_the_minimum(bench):
    """The artifact has the losses of the minimum, not of the end, and the distances it is told."""
    result = ran(
        bench, study_run(bench.workload, learning_rate=0.1, max_epochs=300, patience_epochs=3)
    )
    best = result.points[result.minimum]
    model = minimiser.model_at(bench, result.minimiser)
    losses = losses_of(bench, model, samples_per_pass=256)
    assert (losses.train, losses.validation) == (best.train_loss, best.validation_loss)
    whole = math.sqrt(sum(layer.distance**2 for layer in result.layers))
    assert whole == pytest.approx(best.distance, rel=1e-6)
    initial, now = bench.model(3).state_dict(), model.state_dict()
    assert [layer.name for layer in result.layers] == list(initial)
    for layer in result.layers:
        moved = (now[layer.name] - initial[layer.name]).norm()
        assert layer.distance == pytest.approx(float(moved), rel=1e-5)
        assert layer.initial_norm == pytest.approx(float(initial[layer.name].norm()), rel=1e-5)


def test_norms_are_those_of_a_plain_loop(bench):
    """Distances and median norms are what a loop written by hand finds."""
    plain = digits(training={"optimizer": {"kind": "sgd"}})
    of_sgd = dataclasses.replace(bench, workload=plain)
    request = study_run(plain, global_batch_size=128, micro_batch_size=32, max_epochs=1)
    point = ran(of_sgd, request).points[1]
    step = TrainingStep(of_sgd, bench.model(3), micro_batch_size=128, learning_rate=0.05)

    def weights():
        return torch.cat([parameter.detach().flatten() for parameter in step.parameters])

    order, start, gradients = SampleOrder(NUM_TRAIN, 3, torch.device("cpu")), weights().clone(), []
    for number in range(point.step):
        step.accumulate(order.rows(number * 128, 128))
        gradients.append(float(torch.cat([p.grad.flatten() for p in step.parameters]).norm()))
        step.update(number * 128, 128)
    assert point.step == 12
    median = sorted(gradients)[5:7]
    assert point.gradient_norm == pytest.approx(sum(median) / 2, rel=1e-4)
    assert point.update_norm == pytest.approx(0.05 * sum(median) / 2, rel=1e-3)
    assert point.distance == pytest.approx(float((weights() - start).norm()), rel=1e-4)
    assert point.epoch_distance == pytest.approx(point.distance)


def test_equal_weights_at_the_start_whatever_the_batch(bench):
    """Runs of one seed start at the same point, whatever their batch and rate."""
    points = [
        ran(
            bench,
            study_run(
                bench.workload,
                global_batch_size=size,
                micro_batch_size=min(size, 100),
                learning_rate=rate,
                max_epochs=1,
            ),
        ).points[0]
        for size, rate in ((16, 0.01), (NUM_TRAIN, 0.1))
    ]
    assert points[0] == points[1]


def test_a_batch_of_one_works(bench):
    """Online learning takes a step a sample, and its norms are taken of some of them only."""
    result = ran(
        bench,
        study_run(
            bench.workload,
            global_batch_size=1,
            micro_batch_size=1,
            learning_rate=0.001,
            max_epochs=1,
        ),
    )
    assert [point.step for point in result.points] == [0, NUM_TRAIN]
    assert result.points[1].validation_loss < result.points[0].validation_loss
    assert result.points[1].update_norm > 0.0


def test_full_batch_by_rprop_is_one_pass_or_many(bench):
    """All samples in uneven passes give the run of a single pass, up to rounding."""
    workload = digits(training={"optimizer": RPROP})
    of_rprop = dataclasses.replace(bench, workload=workload)
    whole, parts = (
        ran(
            of_rprop,
            study_run(
                workload,
                global_batch_size=NUM_TRAIN,
                micro_batch_size=micro,
                learning_rate=1e-3,
                max_epochs=24,
                patience_epochs=24,
            ),
        )
        for micro in (NUM_TRAIN, 400)
    )
    assert [point.step for point in whole.points] == list(range(25))
    assert [point.epoch for point in whole.points] == [float(epoch) for epoch in range(25)]
    assert whole.points[-1].train_loss < 0.5 * whole.points[0].train_loss
    for one, other in zip(whole.points, parts.points, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-3)
        assert one.distance == pytest.approx(other.distance, rel=1e-3)


def test_a_run_that_diverges_says_so(bench):
    """A rate far too high ends the run, which leaves no minimiser."""
    result = ran(bench, study_run(bench.workload, learning_rate=1e3, max_epochs=100))
    assert result.outcome is StudyOutcome.DIVERGED
    assert result.minimiser is None
    last = result.points[-1]
    assert not last.train_loss <= 3.0 * result.points[0].train_loss


def test_a_rising_validation_loss_alone_is_no_divergence(bench, monkeypatch):
    """Overfitting goes on until the patience ends, however high the validation loss climbs."""
    looks = iter(range(100))

    def overfitted(*_, **__):
        look = next(looks)
        return Losses(train=2.0 / (1 + look), validation=1.0 + 10.0 * look, accuracy=None)

    monkeypatch.setattr(run, "losses_of", overfitted)
    result = ran(bench, study_run(bench.workload, patience_epochs=3, max_epochs=20))
    assert (result.outcome, result.minimum) == (StudyOutcome.CONVERGED, 0)
    assert len(result.points) == 4


def test_a_deadline_that_has_passed_ends_it(bench):
    """A run out of time is exhausted, and still leaves what it has."""
    result = ran(bench, study_run(bench.workload, deadline_seconds=0.0, max_epochs=10**6))
    assert result.outcome is StudyOutcome.EXHAUSTED
    assert len(result.points) == 1
    assert result.minimum == 0
    assert minimiser.load(bench.places.artifacts, result.minimiser) is not None


def test_without_keeping_nothing_is_left(bench):
    """A run that need not keep its minimiser leaves no file."""
    result = ran(bench, study_run(bench.workload, keep_minimiser=False))
    assert result.minimiser is None
    assert result.layers
    assert not bench.places.artifacts.exists()


def test_out_of_memory_keeps_the_points_so_far(bench, monkeypatch):
    """Memory that ends on the way is an outcome; what was seen before stays."""
    update = TrainingStep.update

    def full(self, samples_before, samples):
        if samples_before > 2 * NUM_TRAIN:
            raise torch.OutOfMemoryError("CUDA out of memory")
        update(self, samples_before, samples)

    monkeypatch.setattr(TrainingStep, "update", full)
    result = ran(bench, study_run(bench.workload))
    assert result.outcome is StudyOutcome.OUT_OF_MEMORY
    assert len(result.points) == 3


def test_no_room_for_norms_ends_the_norms_alone(bench, monkeypatch):
    """Where no second copy of the weights fits, the run goes on and its norms are null."""
    whole = ran(bench, study_run(bench.workload))

    def full(self):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Travel, "before_update", full)
    result = ran(bench, study_run(bench.workload))
    assert {point.update_norm for point in result.points} == {None}
    assert [p.train_loss for p in result.points] == [p.train_loss for p in whole.points]


@pytest.mark.parametrize("when", ["in an epoch", "between epochs"])
def test_lost_attempt_is_taken_up_exactly(tmp_path, monkeypatch, when):
    """With BatchNorm, dropout's random state and Adam, a killed run goes on to the same end."""
    workload = images(batch_norm=True, optimizer={"kind": "adam"})
    bench = bench_of(workload, tmp_path)
    request = study_run(workload, learning_rate=0.003, max_epochs=5)
    whole = ran(bench, request)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {whole.minimiser}
    monkeypatch.setattr("tuner.measuring.study.run.RESCUE_SECONDS", 0.0)
    if when == "in an epoch":
        monkeypatch.setattr("tuner.measuring.study.run.POLL_SECONDS", 0.0)
    asked = iter(range(60 if when == "in an epoch" else 3))

    def killed():
        if next(asked, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(bench, request, tightened=killed)
    again = ran(bench, request)
    assert again.resumed
    assert 0 < again.train_steps < whole.train_steps
    assert shown(again) == shown(whole)
    assert again.minimiser == whole.minimiser
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_damaged_attempt_starts_over(bench, monkeypatch):
    """A file that was cut is not gone on from."""
    request = study_run(bench.workload)
    whole = ran(bench, request)
    path = bench.places.artifacts / attempt_name(request)
    path.write_bytes(b"not an attempt")
    again = ran(bench, request)
    assert not again.resumed
    assert shown(again) == shown(whole)


def test_a_told_limit_ends_the_run(bench):
    """A step limit told on the way stops the run as a deadline does."""
    result = ran(bench, study_run(bench.workload, max_epochs=100), tightened=lambda: 40)
    assert result.outcome is StudyOutcome.EXHAUSTED
    assert result.points[-1].step in {23, 45}


def test_regression_has_no_accuracy(tmp_path):
    """Without right and wrong the metric is null."""
    workload = dataclasses.replace(
        digits(training=training("regression")),
        dataset={"kind": "sklearn", "name": "diabetes", "validation_fraction": 0.2},
    )
    result = ran(bench_of(workload, tmp_path), study_run(workload, learning_rate=0.01))
    assert {point.validation_metric for point in result.points} == {None}
