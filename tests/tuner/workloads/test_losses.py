"""Losses are sums over counted items, so that accumulation equals one batch."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.tuner.workloads.samples import DIGITS, NOWHERE, TOKENS, data_of, workload
from tuner.workloads.build import build_model
from tuner.workloads.data import Data, Split, load_data
from tuner.workloads.losses import CausalLm, Classification, Criterion, Regression, build_criterion


def _padded_tokens() -> torch.Tensor:
    tokens = torch.randint(20, (12, 9), generator=torch.Generator().manual_seed(1))
    for row, length in enumerate((9, 2, 5, 9, 3, 7, 4, 9, 6, 2, 8, 9)):
        tokens[row, length:] = -1
    return tokens


def _gradient(
    model: nn.Module, criterion: Criterion, split: Split, micro_batch_size: int
) -> torch.Tensor:
    model.zero_grad()
    total = criterion.counts(split).sum()
    for start in range(0, len(split), micro_batch_size):
        rows = slice(start, start + micro_batch_size)
        targets = None if split.targets is None else split.targets[rows]
        (criterion.loss_sum(model, split.inputs[rows], targets) / total).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def _case(task: str) -> tuple[nn.Module, Data]:
    generator = torch.Generator().manual_seed(0)
    if task == "causal_lm":
        data = data_of(_padded_tokens(), None, 20)
        return build_model(
            workload("transformer", TOKENS, task=task), data, seed=0, places=NOWHERE
        ), data
    inputs = torch.randn(12, 5, generator=generator)
    targets = (
        torch.arange(12) % 3
        if task == "classification"
        else torch.randn(12, 3, generator=generator)
    )
    data = data_of(inputs, targets, 3)
    return build_model(workload(task=task), data, seed=0, places=NOWHERE), data


@pytest.mark.parametrize("task", ["classification", "regression", "causal_lm"])
def test_accumulated_gradients_equal_one_batch(task: str) -> None:
    """Accumulating s passes of m gives the gradient of one pass of s x m, whatever the counts."""
    model, data = _case(task)
    criterion = build_criterion({"task": task}, data)
    whole = _gradient(model.double(), criterion, _double(data.train), 12)
    for micro_batch_size in (1, 3, 4):
        parts = _gradient(model, criterion, _double(data.train), micro_batch_size)
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-7)


def _double(split: Split) -> Split:
    inputs = split.inputs.double() if split.inputs.is_floating_point() else split.inputs
    return Split(inputs=inputs, targets=split.targets)


def test_averages_of_averages_would_differ() -> None:
    """The test above can fail: with padding, the mean of micro-batch means is another number."""
    model, data = _case("causal_lm")
    criterion = build_criterion({"task": "causal_lm"}, data)
    counts = criterion.counts(data.train)
    with torch.no_grad():
        sums = [criterion.loss_sum(model, data.train.inputs[i : i + 3], None) for i in (0, 3, 6, 9)]
    means = [part / counts[i : i + 3].sum() for part, i in zip(sums, (0, 3, 6, 9), strict=True)]
    assert abs(float(sum(means)) / 4 - float(sum(sums)) / float(counts.sum())) > 1e-4


def test_counts_are_the_predicted_tokens() -> None:
    """A sample of n real tokens predicts n - 1 of them; dense tasks count samples or outputs."""
    tokens = torch.tensor([[1, 2, 3, 4], [1, 2, -1, -1], [-1, 2, 3, 4], [1, -1, 3, 4]])
    assert CausalLm(padded=True).counts(Split(inputs=tokens, targets=None)).tolist() == [3, 1, 2, 1]
    dense = Split(inputs=torch.zeros(2, 5), targets=torch.zeros(2, 3))
    assert Classification().counts(dense).tolist() == [1, 1]
    assert Regression().counts(dense).tolist() == [3, 3]


def test_padding_changes_no_loss() -> None:
    """A padded sample has the loss of the same sample cut short, whatever it is padded with."""
    model, _ = _case("causal_lm")
    tokens = torch.tensor([[1, 2, 3, 4, 5, -1, -1, -1, -1]])
    other = torch.tensor([[1, 2, 3, 4, 5, -7, -1, -9, -1]])
    padded, again = (CausalLm(padded=True).loss_sum(model, t, None) for t in (tokens, other))
    full = tokens.clone()
    full[0, 5:] = 9
    scores = model(full)[0, :4]
    expected = functional.cross_entropy(scores, full[0, 1:5], reduction="sum")
    torch.testing.assert_close(padded, expected)
    assert torch.equal(padded, again)


def test_unpadded_data_take_the_path_without_masks() -> None:
    """Without padding both paths give the same loss, and the criterion knows which to take."""
    model, _ = _case("causal_lm")
    tokens = torch.randint(20, (4, 9), generator=torch.Generator().manual_seed(2))
    criterion = build_criterion({"task": "causal_lm"}, data_of(tokens, None, 20))
    assert isinstance(criterion, CausalLm)
    assert not criterion.padded
    masked = CausalLm(padded=True).loss_sum(model, tokens, None)
    torch.testing.assert_close(criterion.loss_sum(model, tokens, None), masked)


def test_a_uniform_model_has_the_loss_of_its_vocabulary() -> None:
    """Equal scores cost ln(V) per token: the sum is over tokens, in nats."""

    class Uniform(nn.Module):
        def forward(self, tokens: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=torch.zeros(*tokens.shape, 20))

    loss = CausalLm(padded=False).loss_sum(Uniform(), torch.ones(2, 5, dtype=torch.int64), None)
    assert float(loss) == pytest.approx(8 * math.log(20))


def test_correct_sums() -> None:
    """Right answers are counted per sample, and per predicted token."""
    scores = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    right = Classification().correct_sum(nn.Identity(), scores, torch.tensor([0, 0, 0]))
    assert int(right) == 2

    class Next(nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return functional.one_hot((tokens + 1) % 20, 20).float()

    tokens = torch.tensor([[1, 2, 3, 7], [4, 5, -1, -1]])
    assert int(CausalLm(padded=True).correct_sum(Next(), tokens, None)) == 3
    with pytest.raises(ValueError, match="no accuracy"):
        Regression().correct_sum(nn.Identity(), scores, scores)


def test_shapes_that_would_broadcast_are_refused() -> None:
    """Scores of shape (N,) against targets of shape (N, 1) would train on N x N pairs."""
    with pytest.raises(ValueError, match="the targets are"):
        Regression().loss_sum(nn.Flatten(0), torch.zeros(4, 1), torch.zeros(4, 1))
    with pytest.raises(ValueError, match="classification needs"):
        Classification().loss_sum(nn.Flatten(0), torch.zeros(4, 2), torch.zeros(4).long())


def test_the_criterion_of_real_data() -> None:
    """Digits train with cross-entropy, whose sum is torch's own mean times the samples."""
    data = load_data(workload(dataset=DIGITS), NOWHERE)
    model = build_model(workload(), data, seed=0, places=NOWHERE)
    criterion = build_criterion({"task": "classification"}, data)
    inputs, targets = data.train.inputs[:32], data.train.targets
    assert targets is not None
    mean = functional.cross_entropy(model(inputs), targets[:32])
    torch.testing.assert_close(criterion.loss_sum(model, inputs, targets[:32]), 32 * mean)
