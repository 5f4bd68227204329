"""How gradients scatter, against what every sample's gradient says."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.tuner.measuring.study.subjects import NUM_TRAIN, digits, images, trained
from tests.tuner.measuring.subjects import bench_of
from tuner.errors import NotAnswerable
from tuner.measuring.study import measure_gradients
from tuner.measuring.study.minimiser import model_at
from tuner.records import GradientProbe


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A small perceptron on the digits."""
    return bench_of(digits(hidden=4), tmp_path_factory.mktemp("artifacts"))


def scattered(bench, **changes):
    """Measure on a bench."""
    fields = {
        "id": "gradients",
        "workload": bench.workload,
        "minimiser": None,
        "seed": 5,
        "batch_sizes": (1, 16, 256),
        "draws": 200,
        "samples_per_pass": 64,
    }
    return measure_gradients(lambda: bench, GradientProbe(**{**fields, **changes}))


def of_every_sample(bench, model):
    """Gradients (N, n) of each training sample."""
    model.eval()
    rows = []
    for sample in range(len(bench.train)):
        loss = bench.criterion.loss_sum(model, *bench.train.run(slice(sample, sample + 1)))
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, model.parameters())]))
    return torch.stack(rows).double()


def test_scatter_is_that_of_sampling_without_replacement(bench):
    """The variance is sigma^2 / B times the factor of a finite population; norms add up."""
    found = scattered(bench)
    each = of_every_sample(bench, bench.model(5))
    sigma = float(each.var(dim=0, correction=0).sum()) * NUM_TRAIN / (NUM_TRAIN - 1)
    full = float(each.mean(dim=0).norm())
    assert found.population == NUM_TRAIN
    assert found.full_norm == pytest.approx(full, rel=1e-4)
    for scatter in found.scatters:
        size = scatter.global_batch_size
        expected = sigma / size * (NUM_TRAIN - size) / NUM_TRAIN
        assert scatter.variance == pytest.approx(expected, rel=0.15)
        assert scatter.mean_norm**2 <= 1.1 * (full**2 + expected)
        assert scatter.draws == 200
    assert found.scatters[0].mean_norm == pytest.approx(float(each.norm(dim=1).mean()), rel=0.15)
    cosines = [scatter.cosine for scatter in found.scatters]
    assert cosines == sorted(cosines)
    assert cosines[-1] == pytest.approx(full**2 / (full**2 + expected), abs=0.03)


def test_the_whole_data_have_no_scatter(bench):
    """At the size of the data nothing is drawn; beyond it there is nothing to tell."""
    found = scattered(bench, batch_sizes=(8, NUM_TRAIN, 5000), draws=4)
    last = found.scatters[-1]
    assert [s.global_batch_size for s in found.scatters] == [8, NUM_TRAIN]
    assert (last.variance, last.cosine) == (0.0, 1.0)
    assert last.mean_norm == found.full_norm


def test_passes_do_not_matter(bench):
    """Cutting a batch into other passes changes nothing but rounding."""
    one, other = (
        scattered(bench, samples_per_pass=samples, draws=5).scatters for samples in (7, 512)
    )
    for mine, theirs in zip(one, other, strict=True):
        assert mine.variance == pytest.approx(theirs.variance, rel=1e-4)
        assert mine.cosine == pytest.approx(theirs.cosine, rel=1e-4)


def test_dropout_and_batch_norm_do_not_add_noise(tmp_path):
    """Batches of all samples but one hardly differ, whatever layers draw or normalise."""
    dropped = bench_of(digits(hidden=4, dropout=0.5), tmp_path)
    normed = bench_of(images(batch_norm=True), tmp_path)
    for bench in (dropped, normed):
        found = scattered(bench, batch_sizes=(NUM_TRAIN - 1,), draws=4)
        assert found.scatters[0].cosine == pytest.approx(1.0, abs=1e-4)


def test_at_a_minimiser(bench):
    """Gradients are those at its weights, and a lost artifact is said to be so."""
    name = trained(bench)
    found = scattered(bench, minimiser=name, draws=4)
    expected = of_every_sample(bench, model_at(bench, name)).mean(dim=0).norm()
    assert found.full_norm == pytest.approx(float(expected), rel=1e-4)
    assert found != scattered(bench, draws=4)
    with pytest.raises(NotAnswerable, match="gone"):
        scattered(bench, minimiser="0" * 64 + ".minimiser")
    with pytest.raises(NotAnswerable):
        scattered(bench, minimiser="../" + name)


def test_memory_that_ends_halves_the_passes(bench, monkeypatch):
    """Passes that do not fit are cut until they do, to the same values."""
    expected = scattered(bench, draws=4)
    sound = bench.criterion.loss_sum

    class Narrow:
        counts = bench.criterion.counts

        def loss_sum(self, model, inputs, targets):
            if len(inputs) > 20:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return sound(model, inputs, targets)

    found = scattered(dataclasses.replace(bench, criterion=Narrow()), draws=4)
    assert found.full_norm == pytest.approx(expected.full_norm, rel=1e-4)
