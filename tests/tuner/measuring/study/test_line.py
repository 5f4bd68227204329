"""The line between two minimisers."""

from __future__ import annotations

import pytest
import torch

from tests.tuner.measuring.study.subjects import digits, images, left, ran, study_run, trained
from tests.tuner.measuring.subjects import bench_of
from tuner.measuring.study import measure_line
from tuner.measuring.study.batch_statistics import recompute_statistics
from tuner.measuring.study.losses import losses_of
from tuner.measuring.study.minimiser import model_at
from tuner.records import LineProbe


def between(bench, first, second, alphas=(-1.0, 0.0, 0.5, 1.0, 2.0)):
    """Measure a line."""
    request = LineProbe(
        id="line", workload=bench.workload, first=first, second=second, alphas=alphas
    )
    return measure_line(lambda: bench, request)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A perceptron on the digits."""
    return bench_of(digits(), tmp_path_factory.mktemp("artifacts"))


def test_ends_are_the_minimisers(bench):
    """At alpha 0 and 1 the losses are those of the runs; between them those of mixed weights."""
    results = [ran(bench, study_run(bench.workload, seed=seed)) for seed in (1, 2)]
    first, second = (result.minimiser for result in results)
    profile = between(bench, first, second)
    assert [point.alpha for point in profile.points] == [-1.0, 0.0, 0.5, 1.0, 2.0]
    assert not profile.statistics_recomputed
    for point, result in zip(profile.points[1::2], results, strict=True):
        best = result.points[result.minimum]
        assert (point.train_loss, point.validation_loss) == (best.train_loss, best.validation_loss)
    mixed = bench.model(0)
    one, other = (model_at(bench, name).state_dict() for name in (first, second))
    mixed.load_state_dict({name: (one[name] + other[name]) / 2 for name in one})
    middle = losses_of(bench, mixed, samples_per_pass=256)
    assert profile.points[2].train_loss == pytest.approx(middle.train, rel=1e-5)
    assert profile.points[2].validation_loss == pytest.approx(middle.validation, rel=1e-5)
    assert profile.points[2].train_loss > max(p.train_loss for p in profile.points[1::2])


def test_batch_norm_gets_statistics_of_every_point(tmp_path):
    """Statistics are those of the mixed weights, and the profile says that they were taken."""
    bench = bench_of(images(batch_norm=True), tmp_path)
    first, second = (trained(bench, seed=seed) for seed in (1, 2))
    profile = between(bench, first, second)
    assert profile.statistics_recomputed
    one, other = (model_at(bench, name).state_dict() for name in (first, second))
    model = bench.model(0)
    model.load_state_dict({name: (one[name] + other[name]) / 2 for name in one})
    stale = losses_of(bench, model.eval(), samples_per_pass=256).train
    assert recompute_statistics(bench, model)
    fresh = losses_of(bench, model, samples_per_pass=256).train
    assert profile.points[2].train_loss == pytest.approx(fresh, rel=1e-5)
    assert abs(stale - fresh) > 0.01 * fresh


def test_statistics_are_means_over_passes(tmp_path):
    """The running mean is the plain mean of the layer's inputs over the fixed samples."""
    bench = bench_of(images(batch_norm=True), tmp_path)
    model = bench.model(0)
    norm = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    seen = []
    hook = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    momentum = norm.momentum
    assert recompute_statistics(bench, model)
    hook.remove()
    together = torch.cat(seen)
    assert len(together) == 1024
    torch.testing.assert_close(norm.running_mean, together.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, together.var((0, 2, 3)), rtol=0.05, atol=1e-3)
    assert norm.momentum == momentum
    assert not model.training


def test_other_shapes_are_refused(bench):
    """Minimisers that do not go together give a sentence, not an error."""
    here = trained(bench)
    wide = left(bench, torch.nn.Linear(4, 4))
    profile = between(bench, here, wide)
    assert profile.points == ()
    assert profile.refused.startswith("There is no line")
    larger = bench_of(digits(hidden=17), bench.places.artifacts)
    shapes = between(larger, trained(larger), here)
    assert shapes.points == ()
    assert "(17, 64)" in shapes.refused
    both = between(larger, here, here)
    assert "(17, 64)" in both.refused


def test_what_is_not_finite_is_null(bench):
    """A point with weights beyond all bounds has no loss."""
    model = bench.model(0)
    with torch.no_grad():
        next(model.parameters()).fill_(3e38)
    profile = between(bench, trained(bench), left(bench, model), alphas=(0.0, 1.0, 2.0))
    assert profile.points[0].train_loss is not None
    assert profile.points[-1].train_loss is None
    assert profile.points[-1].validation_loss is None
