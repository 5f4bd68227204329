"""One optimizer step: accumulation, clipping, schedule and the order of samples."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from tests.tuner.measuring.subjects import SGD, bench_over
from tuner.measuring.batches import SampleOrder
from tuner.measuring.step import TrainingStep
from tuner.workloads.schedules import learning_rate_at

CPU = torch.device("cpu")


@pytest.fixture
def regression(tmp_path):
    """A bench of 60 samples with two outputs each."""
    torch.manual_seed(1)
    inputs, targets = torch.randn(60, 5), torch.randn(60, 2)
    return bench_over(inputs, targets, folder=tmp_path, task="regression")


@pytest.fixture
def sentences(tmp_path):
    """A bench of 40 sequences whose real tokens number from 2 to 9."""
    torch.manual_seed(2)
    tokens = torch.randint(11, (40, 9))
    lengths = torch.arange(40) % 8 + 2
    tokens[torch.arange(9) >= lengths[:, None]] = -1
    return bench_over(tokens, None, folder=tmp_path, task="causal_lm")


class TinyLm(torch.nn.Module):
    """Scores the next token from the embedding of this one."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(11, 6)
        self.head = torch.nn.Linear(6, 11)

    def forward(self, tokens):
        """Map (N, L) to (N, L, 11)."""
        return self.head(torch.tanh(self.embedding(tokens)))


def trained(bench, model, *, micro_batch_size, batch, steps=12):
    """Train a copy of a model and return its weights."""
    model = copy.deepcopy(model)
    step = TrainingStep(bench, model, micro_batch_size=micro_batch_size, learning_rate=0.1)
    order = SampleOrder(len(bench.train), 0, CPU)
    for index in range(steps):
        step.run(order.rows(index * batch, batch), index * batch)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_every_batch_size_sees_the_same_samples_in_the_same_order():
    """Cutting the order into steps of 7 or of 25 samples gives the same sequence."""
    first, second = SampleOrder(10, 5, CPU), SampleOrder(10, 5, CPU)
    by_seven = torch.cat([first.rows(7 * step, 7) for step in range(25)])
    by_twenty_five = torch.cat([second.rows(25 * step, 25) for step in range(7)])
    assert torch.equal(by_seven, by_twenty_five)
    epochs = by_seven[:170].reshape(17, 10)
    assert all(torch.equal(epoch.sort().values, torch.arange(10)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_order_depends_on_seed_alone_and_can_start_anywhere():
    """A fresh order that starts in the third epoch continues what another one began."""
    whole = SampleOrder(10, 5, CPU).rows(0, 60)
    assert torch.equal(SampleOrder(10, 5, CPU).rows(33, 20), whole[33:53])
    assert not torch.equal(SampleOrder(10, 6, CPU).rows(0, 60), whole)


@pytest.mark.parametrize(("micro_batch_size", "batch"), [(1, 8), (4, 8), (5, 20), (3, 8)])
def test_accumulation_equals_one_batch_on_dense_data(regression, micro_batch_size, batch):
    """Passes of any size follow the trajectory of one pass over the global batch."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 2))
    whole = trained(regression, model, micro_batch_size=batch, batch=batch)
    parts = trained(regression, model, micro_batch_size=micro_batch_size, batch=batch)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_accumulation_equals_one_batch_with_unequal_tokens(sentences, micro_batch_size):
    """Token means are over the whole batch, however unevenly the passes share its tokens."""
    assert sentences.train.items_per_sample is None
    torch.manual_seed(0)
    model = TinyLm()
    whole = trained(sentences, model, micro_batch_size=8, batch=8)
    parts = trained(sentences, model, micro_batch_size=micro_batch_size, batch=8)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


def test_gradient_is_that_of_the_mean_over_all_tokens(sentences):
    """The accumulated gradient equals one written by hand over the whole batch."""
    torch.manual_seed(0)
    model = TinyLm()
    rows = torch.arange(12)
    step = TrainingStep(sentences, model, micro_batch_size=3, learning_rate=0.1)
    step.accumulate(rows)
    accumulated = [p.grad.clone() for p in model.parameters()]
    tokens = sentences.data.train.inputs[rows]
    labels = tokens[:, 1:].masked_fill(tokens[:, 1:] < 0, -100)
    loss = functional.cross_entropy(model(tokens.clamp(min=0))[:, :-1].transpose(1, 2), labels)
    expected = torch.autograd.grad(loss, list(model.parameters()))
    for ours, theirs in zip(accumulated, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_clipping_holds_the_norm_of_the_whole_gradient(tmp_path):
    """A clipped step of plain SGD moves the weights by the rate times the norm, no more."""
    bench = bench_over(
        torch.randn(8, 3) * 50,
        torch.randn(8, 1) * 50,
        folder=tmp_path,
        task="regression",
        optimizer={"kind": "sgd"},
        gradient_clip_norm=0.25,
    )
    model = torch.nn.Linear(3, 1)
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    TrainingStep(bench, model, micro_batch_size=2, learning_rate=0.1).run(torch.arange(8), 0)
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.1 * 0.25, rel=1e-4)


def test_scheduled_rate_is_that_of_the_middle_of_the_step(tmp_path):
    """The optimizer steps at the schedule's rate, counted in samples."""
    schedule = {"kind": "cosine", "warmup_samples": 10, "horizon_samples": 100}
    bench = bench_over(
        torch.randn(20, 3),
        torch.randn(20, 1),
        folder=tmp_path,
        task="regression",
        optimizer=SGD,
        schedule=schedule,
    )
    step = TrainingStep(bench, torch.nn.Linear(3, 1), micro_batch_size=4, learning_rate=0.3)
    rates = []
    for index in range(6):
        step.run(torch.arange(8), index * 8)
        rates.append(step.optimizer.param_groups[0]["lr"])
    assert rates == [learning_rate_at(schedule, index * 8 + 4, 0.3) for index in range(6)]
    assert rates[0] < rates[1] > rates[5]
