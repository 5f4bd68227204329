"""ASAM m-sharpness against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tuner.measuring.sharpness import on_surface
from tuner.measuring.sharpness.asam import RHO, SAMPLES_PER_BATCH, asam_sharpness


def measure(case, **options):
    """Measure a case in passes of 50 samples."""
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=50) as surface:
        return asam_sharpness(surface, **options)


def test_matches_the_closed_form_on_a_quadratic(quadratic):
    """For H = diag(h) the rise is g.delta + delta.H.delta / 2 with the formula's delta."""
    torch.manual_seed(1)
    point, curvature = torch.randn(6).double(), torch.rand(6).double() * 5
    case = quadratic(point, torch.diag(curvature), torch.zeros(10, 6).double())
    gradient = curvature * point
    delta = RHO * point**2 * gradient / (point * gradient).norm()
    expected = gradient @ delta + (curvature * delta**2).sum() / 2
    assert measure(case) == pytest.approx(expected.item(), rel=1e-9)


def test_batches_have_their_own_perturbation(quadratic):
    """Two batches whose gradients cancel in the whole set still rise, each on its own."""
    centres = torch.tensor([[0.5], [1.5]]).double().repeat_interleave(SAMPLES_PER_BATCH, 0)
    case = quadratic(torch.ones(1).double(), torch.eye(1).double(), centres)
    # |delta| = rho |w| = 0.5 along the gradient of size 0.5: 0.25 + 0.125 in each batch.
    assert measure(case) == pytest.approx(0.375)


def test_a_short_last_batch_weighs_by_its_items(quadratic):
    """The mean over batches is by counted items."""
    centres = torch.cat([torch.zeros(SAMPLES_PER_BATCH, 1), torch.ones(32, 1)]).double()
    case = quadratic(torch.full((1,), 2.0).double(), torch.eye(1).double(), centres)
    expected = (128 * (2.0 + 0.5) + 32 * (1.0 + 0.5)) / 160
    assert measure(case) == pytest.approx(expected)


def test_is_invariant_when_a_relu_net_is_rescaled(classifier):
    """Layers scaled by a and 1/a compute the same function and get the same sharpness."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    case = classifier(model)
    before = measure(case)
    with torch.no_grad():
        model[0].weight.mul_(7.0)
        model[0].bias.mul_(7.0)
        model[2].weight.div_(7.0)
    assert before > 0.0
    assert measure(case) == pytest.approx(before, rel=1e-9)


def test_a_flat_loss_has_none(quadratic):
    """Where the gradient is exactly zero nothing is perturbed and the rise is zero."""
    case = quadratic(torch.ones(3), torch.eye(3), torch.ones(4, 3))
    assert measure(case) == 0.0


def test_no_counted_items_is_not_a_number(quadratic):
    """Without a counted item there is no mean loss."""
    case = quadratic(torch.ones(1), torch.eye(1), torch.zeros(4, 1))
    with on_surface(case.model, case.loss_sum, torch.zeros(4), samples_per_pass=4) as surface:
        assert math.isnan(asam_sharpness(surface))
