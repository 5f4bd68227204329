"""The trace of the Hessian against closed forms."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from tuner.measuring.sharpness import on_surface, trace
from tuner.measuring.sharpness.trace import hessian_trace


def measure(case, *, seed=0, probes=32):
    """Measure a case in passes of 2 samples."""
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=2) as surface:
        return hessian_trace(surface, seed=seed, probes=probes)


def test_a_diagonal_hessian_is_exact(quadratic):
    """Without anything off the diagonal every probe gives the trace."""
    case = quadratic(
        torch.ones(4), torch.diag(torch.tensor([3.0, 1.0, -2.0, 5.0])), torch.zeros(3, 4)
    )
    found = measure(case, probes=2)
    assert found.value == pytest.approx(7.0)
    assert found.error == pytest.approx(0.0, abs=1e-5)


def test_the_error_is_that_of_hutchinson(quadratic):
    """The mean lies within a few standard errors, which are sqrt(2 |H - diag H|^2 / probes)."""
    torch.manual_seed(0)
    root = torch.randn(12, 12)
    hessian = root @ root.T
    off = hessian - torch.diag(hessian.diag())
    case = quadratic(torch.ones(12), hessian, torch.zeros(3, 12))
    found = measure(case, probes=400)
    expected = math.sqrt(2.0 * float(off.square().sum()) / 400)
    assert found.error == pytest.approx(expected, rel=0.2)
    assert abs(found.value - float(hessian.trace())) < 4.0 * expected


def test_one_probe_has_no_spread(quadratic):
    """A single probe is refused."""
    case = quadratic(torch.ones(2), torch.eye(2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="spread"):
        measure(case, probes=1)


def test_probes_one_by_one_are_the_same(quadratic, monkeypatch):
    """Where memory holds one probe at a time the estimate does not change."""
    torch.manual_seed(1)
    root = torch.randn(6, 6)
    case = quadratic(torch.ones(6), root @ root.T, torch.zeros(3, 6))
    together = measure(case)
    monkeypatch.setattr(trace, "PROBE_BYTES", 1)
    assert measure(case) == together


def test_without_a_second_derivative_gradients_are_differenced(classifier, mlp):
    """Where autograd refuses to differentiate twice the estimate is nearly the same."""
    case = classifier(mlp())
    expected = measure(case)
    sound = case.loss_sum

    def refuse(gradient):
        if torch.is_grad_enabled():
            raise RuntimeError("derivative for the operation is not implemented")
        return gradient

    def loss_sum(samples):
        loss = sound(samples)
        if loss.requires_grad:
            loss.register_hook(refuse)
        return loss

    found = measure(dataclasses.replace(case, loss_sum=loss_sum))
    assert found.value == pytest.approx(expected.value, rel=0.02)
    assert found != expected


def test_a_linear_loss_has_no_trace(quadratic):
    """A loss that is linear in the parameters has the trace zero."""
    case = quadratic(torch.ones(5), torch.zeros(5, 5), torch.zeros(3, 5))
    weights = torch.arange(5.0)

    def loss_sum(samples):
        return (case.model.values @ weights) * (samples.stop - samples.start)

    assert measure(dataclasses.replace(case, loss_sum=loss_sum)).value == 0.0
