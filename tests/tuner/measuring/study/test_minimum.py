"""How sharp a minimiser is, against the dense Hessian."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call

from tests.tuner.measuring.study.subjects import digits, trained
from tests.tuner.measuring.subjects import bench_of
from tuner.errors import NotAnswerable
from tuner.measuring.minimum import FixedSet, sharpness_at
from tuner.measuring.study import measure_minimum, minimum
from tuner.measuring.study.minimiser import model_at
from tuner.records import MinimumProbe


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A perceptron of 300 weights on the digits."""
    return bench_of(digits(hidden=4), tmp_path_factory.mktemp("artifacts"))


def shape_of(bench, name, **changes):
    """Measure a minimiser."""
    fields = {"id": "minimum", "workload": bench.workload, "minimiser": name}
    return measure_minimum(lambda: bench, MinimumProbe(**{**fields, **changes}))


def dense_hessian(bench, name):
    """The whole Hessian (n, n) of the mean loss on the fixed set."""
    model, chosen = model_at(bench, name).eval(), FixedSet.of(bench)
    inputs, targets = bench.train.fetch(chosen.rows)
    names = [name for name, _ in model.named_parameters()]
    values = [parameter.detach() for parameter in model.parameters()]
    sizes = [value.numel() for value in values]

    def mean_loss(flat):
        parts = [p.view(v.shape) for p, v in zip(flat.split(sizes), values, strict=True)]
        scores = functional_call(model, dict(zip(names, parts, strict=True)), (inputs,))
        return torch.nn.functional.cross_entropy(scores, targets)

    flat = torch.cat([value.flatten() for value in values])
    return torch.autograd.functional.hessian(mean_loss, flat)


def test_spectrum_and_trace_are_the_dense_ones(bench):
    """Five eigenvalues within a per cent, the trace within three of its standard errors."""
    name = trained(bench)
    shape = shape_of(bench, name, trace_probes=64)
    dense = torch.linalg.eigvalsh(dense_hessian(bench, name)).flip(0)
    assert len(shape.eigenvalues) == 5
    assert list(shape.eigenvalues) == pytest.approx(dense[:5].tolist(), rel=0.01)
    assert shape.trace == pytest.approx(float(dense.sum()), abs=3.0 * shape.trace_error)
    assert 0.0 < shape.trace_error < 0.2 * shape.trace
    assert shape.num_samples == 1024


def test_measures_are_those_of_a_training_run(bench):
    """ASAM and the top eigenvalue equal what a run measures at the same weights."""
    name = trained(bench, seed=1)
    shape = shape_of(bench, name)
    sharpness = sharpness_at(bench, model_at(bench, name))
    assert shape.asam == sharpness.asam
    assert shape.eigenvalues[0] == pytest.approx(sharpness.hessian_top_eigenvalue, rel=5e-3)
    assert shape.keskar == pytest.approx(sharpness.keskar, rel=0.05)
    assert shape.keskar_manifold >= 0.0


def test_equal_probes_give_equal_shapes(bench):
    """Nothing is drawn but from the workload's own seed."""
    name = trained(bench, seed=2)
    one, other = shape_of(bench, name), shape_of(bench, name)
    assert one == other


def test_a_lost_minimiser_is_said_to_be_lost(bench):
    """Without the artifact there is nothing to measure."""
    with pytest.raises(NotAnswerable, match="gone"):
        shape_of(bench, "0" * 64 + ".minimiser")


def test_without_memory_every_measure_is_null(bench, monkeypatch):
    """What does not fit even sample by sample is null."""

    def full(self, model):
        def loss_sum(samples):
            raise torch.OutOfMemoryError("CUDA out of memory")

        return loss_sum

    name = trained(bench)
    monkeypatch.setattr(minimum, "SAMPLES_PER_PASS", 2)
    monkeypatch.setattr(FixedSet, "loss_sum_of", full)
    shape = shape_of(bench, name)
    assert (shape.asam, shape.keskar, shape.keskar_manifold) == (None, None, None)
    assert (shape.eigenvalues, shape.trace, shape.trace_error) == ((), None, None)
