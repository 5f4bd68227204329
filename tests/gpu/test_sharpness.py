"""Sharpness on a card, beside the same on the processor."""

from __future__ import annotations

import pytest
import torch

from tests.gpu.subjects import bench_of, images, run_of, text, trained
from tuner.measuring.sharpness import measure_sharpness
from tuner.records import Measure

pytestmark = pytest.mark.gpu


def measured(bench, model, device):
    """Measure sharpness of a model on the first 256 training samples, on a device."""
    model = model.to(device)
    split = bench.data.train.to(device)

    def loss_sum(samples):
        targets = None if split.targets is None else split.targets[:256][samples]
        return bench.criterion.loss_sum(model, split.inputs[:256][samples], targets)

    return measure_sharpness(model, loss_sum, bench.criterion.counts(split)[:256], seed=0)


@pytest.mark.parametrize("workload", [images(channels=(8, 16)), text(width=32)])
def test_card_and_processor_agree(tmp_path, workload):
    """The measures of equal weights differ by rounding alone."""
    bench = bench_of(workload, tmp_path)
    card = measured(bench, bench.model(3), bench.device)
    processor = measured(bench, bench.model(3), torch.device("cpu"))
    assert card.num_samples == processor.num_samples == 256
    assert card.asam == pytest.approx(processor.asam, rel=0.02)
    assert card.hessian_top_eigenvalue == pytest.approx(processor.hessian_top_eigenvalue, rel=0.02)
    assert card.keskar == pytest.approx(processor.keskar, rel=0.1)


def test_run_measures_it_in_full_precision(tmp_path):
    """A run in bf16 ends with measures of its fp32 weights."""
    bench = bench_of(text(precision="bf16"), tmp_path)
    result = trained(bench, run_of(bench.workload, measure=Measure(sharpness=True)))
    assert result.sharpness.num_samples == len(bench.train)
    assert result.sharpness.asam > 0.0
    assert result.sharpness.keskar >= 0.0
    assert result.sharpness.hessian_top_eigenvalue > 0.0
