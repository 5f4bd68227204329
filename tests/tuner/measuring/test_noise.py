"""Split steps against a linear regression whose gradient noise is known exactly."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from tests.tuner.measuring.subjects import ADAM, bench_over
from tuner.measuring.noise import split_count, split_step, window_steps
from tuner.measuring.step import TrainingStep

SAMPLES, FEATURES = 500, 6


def linear_step(tmp_path, optimizer, *, micro_batch_size=8):
    """A step of a linear regression at weights away from its minimum."""
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(SAMPLES, FEATURES, generator=generator)
    noise = torch.randn(SAMPLES, 1, generator=generator)
    targets = inputs @ torch.linspace(-1, 1, FEATURES)[:, None] + 0.7 * noise
    bench = bench_over(inputs, targets, folder=tmp_path, task="regression", optimizer=optimizer)
    model = torch.nn.Linear(FEATURES, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.3)
    return TrainingStep(bench, model, micro_batch_size=micro_batch_size, learning_rate=0.05)


def sample_gradients(step):
    """Gradient of every sample's squared error, by the closed form 2 (w x - y) x."""
    data = step.bench.data.train
    residual = data.inputs @ step.model.weight.detach().T - data.targets
    return (2.0 * residual * data.inputs).double()


def windows_of(step, *, batch, splits, count):
    """Split many batches that are drawn with replacement, and step by none of them."""
    generator = torch.Generator().manual_seed(1)
    windows = []
    for at in range(count):
        rows = torch.randint(SAMPLES, (batch,), generator=generator)
        windows.append(split_step(step, rows, splits=splits, at=at))
        step.optimizer.zero_grad(set_to_none=True)
    return windows


def assert_mean(values, expected):
    """The mean of independent draws lies within 4 of its standard errors of the truth."""
    drawn = torch.tensor(values, dtype=torch.float64)
    error = float(drawn.std()) / math.sqrt(len(drawn))
    assert error < 0.1 * expected
    assert float(drawn.mean()) == pytest.approx(expected, abs=4.0 * error)


@pytest.mark.parametrize(("batch", "splits"), [(16, 4), (32, 8)])
def test_norms_have_the_expectations_of_the_exact_covariance(tmp_path, batch, splits):
    """E small = |G|^2 + tr(S) / b and E big = |G|^2 + tr(S) / B, S over all samples."""
    step = linear_step(tmp_path, {"kind": "sgd"})
    gradients = sample_gradients(step)
    mean = gradients.mean(dim=0)
    squared, trace = float(mean @ mean), float(gradients.var(dim=0, correction=0).sum())
    windows = windows_of(step, batch=batch, splits=splits, count=600)
    assert_mean([w.small for w in windows], squared + trace / (batch // splits))
    assert_mean([w.big for w in windows], squared + trace / batch)


def test_preconditioned_norms_are_of_the_divided_gradients(tmp_path):
    """With Adam each coordinate is divided by its running root mean square first."""
    step = linear_step(tmp_path, ADAM)
    for index in range(5):
        step.run(torch.arange(index * 20, index * 20 + 20), 0)
    (state,) = step.optimizer.state.values()
    corrected = state["exp_avg_sq"] / (1.0 - 0.999**5)
    divisor = (corrected.sqrt() + 1e-8).double().flatten()
    gradients = sample_gradients(step) / divisor
    mean = gradients.mean(dim=0)
    squared, trace = float(mean @ mean), float(gradients.var(dim=0, correction=0).sum())
    windows = windows_of(step, batch=16, splits=4, count=600)
    assert_mean([w.small for w in windows], squared + trace / 4)
    assert_mean([w.big for w in windows], squared + trace / 16)


@pytest.mark.parametrize("micro_batch_size", [1, 3, 64])
def test_gradient_left_behind_is_that_of_the_whole_batch(tmp_path, micro_batch_size):
    """After a split step the optimizer finds the gradient that it would have found anyway."""
    rows = torch.arange(24)
    whole = linear_step(tmp_path, {"kind": "sgd"})
    whole.accumulate(rows)
    split = linear_step(tmp_path, {"kind": "sgd"}, micro_batch_size=micro_batch_size)
    window = split_step(split, rows, splits=6, at=0)
    torch.testing.assert_close(split.model.weight.grad, whole.model.weight.grad)
    assert window.big == pytest.approx(float(whole.model.weight.grad.norm()) ** 2, rel=1e-5)


def test_parts_with_unequal_tokens_are_means_over_their_own(tmp_path):
    """Each part's norm is that of the mean over its tokens, not of its share of the batch."""
    tokens = torch.randint(7, (8, 6), generator=torch.Generator().manual_seed(0))
    tokens[:4, 3:] = -1
    bench = bench_over(tokens, None, folder=tmp_path, task="causal_lm")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Linear(4, 7))
    step = TrainingStep(bench, model, micro_batch_size=8, learning_rate=0.1)
    norms = []
    for part in torch.arange(8).chunk(4):
        step.accumulate(part)
        norms.append(sum(float(p.grad.norm()) ** 2 for p in model.parameters()))
        step.optimizer.zero_grad(set_to_none=True)
    window = split_step(step, torch.arange(8), splits=4, at=0)
    assert window.small == pytest.approx(sum(norms) / 4, rel=1e-4)


@pytest.mark.parametrize(
    ("batch", "wanted", "count"),
    [(64, 8, 8), (12, 8, 6), (7, 8, 7), (4, 8, 4), (3, 8, None), (9, 8, None), (13, 8, None)],
)
def test_split_count_is_the_largest_divisor_that_is_allowed(batch, wanted, count):
    """A batch is split into equal parts, at least four of them, or not at all."""
    assert split_count(batch, wanted) == count


def test_windows_come_after_the_start_and_are_evenly_spaced():
    """No window lies in the first 5 % or at step 0, and gaps differ by one step at most."""
    steps = sorted(window_steps(1000, 20))
    assert len(steps) == 20
    assert steps[0] == 50
    gaps = {after - before for before, after in pairwise(steps)}
    assert max(gaps) - min(gaps) <= 1
    assert window_steps(10, 50) == frozenset(range(1, 10))
    assert window_steps(1, 5) == window_steps(100, 0) == frozenset()
