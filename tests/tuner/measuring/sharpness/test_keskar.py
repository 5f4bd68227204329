"""Keskar's phi against closed forms, exhaustive search and SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from tuner.measuring.sharpness import on_surface
from tuner.measuring.sharpness.hessian import hessian_top_eigenpair
from tuner.measuring.sharpness.keskar import EPSILON, keskar_phi
from tuner.measuring.sharpness.manifold import ROWS_PER_BLOCK, RandomManifold


def measure(case, seed=0, **options):
    """Measure a case in passes of 64 samples."""
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=64) as surface:
        return keskar_phi(surface, seed=seed, **options)


def dense(manifold):
    """Build the whole A of a manifold, column by column."""
    units = torch.eye(manifold.dimensions, dtype=manifold.dtype)
    return torch.stack([manifold.lift(unit) for unit in units], dim=1)


@pytest.fixture
def manifold():
    """Give a manifold whose A takes more than one block."""
    return RandomManifold(
        size=ROWS_PER_BLOCK + 500,
        dimensions=3,
        seed=5,
        device=torch.device("cpu"),
        dtype=torch.float64,
    )


def test_a_separable_bowl_is_highest_at_the_far_corner(quadratic):
    """For H = diag(h) the maximum is at x_i moved outward by eps (|x_i| + 1)."""
    point = torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    curvature = torch.tensor([1.0, 4.0, 0.1, 2.0]).double()
    case = quadratic(point, torch.diag(curvature), torch.zeros(10, 4).double(), level=0.2)
    far = point.abs() + EPSILON * (point.abs() + 1)
    low, high = ((curvature * at**2).sum().item() / 2 + 0.2 for at in (point, far))
    assert measure(case) == pytest.approx(100 * (high - low) / (1 + low), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_coupled_bowl_is_highest_at_the_best_of_all_corners(quadratic, seed):
    """At a minimum with a decaying spectrum it is within 5 % of the best of 1,024 corners."""
    torch.manual_seed(seed)
    vectors, _ = torch.linalg.qr(torch.randn(10, 10).double())
    hessian = vectors @ torch.diag(1e5 * 0.5 ** torch.arange(10).double()) @ vectors.T
    point = torch.randn(10).double()
    case = quadratic(point, hessian, point.repeat(5, 1), level=0.1)
    bounds = EPSILON * (point.abs() + 1)
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=10))).double() * bounds
    rise = ((corners @ hessian) * corners / 2).sum(1).max().item()
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=64) as surface:
        top = hessian_top_eigenpair(surface, seed=0).vector
        found = keskar_phi(surface, seed=seed, directions=(top,))
    assert found == pytest.approx(100 * rise / 1.1, rel=0.05)


def test_a_summit_inside_the_box_is_found(quadratic):
    """A concave loss has its maximum at its summit, not at a corner."""
    point = torch.zeros(4).double()
    summit = EPSILON * torch.tensor([0.3, -0.7, 0.05, 2.0]).double()
    curvature = torch.tensor([1.0, 5.0, 2.0, 3.0]).double() * 1e6
    case = quadratic(point, -torch.diag(curvature), summit.repeat(3, 1), level=9.0)
    nearest = summit.clamp(-EPSILON, EPSILON)
    low, high = (9.0 - (curvature * (at - summit) ** 2).sum() / 2 for at in (point, nearest))
    expected = (100 * (high - low) / (1 + low)).item()
    assert measure(case) == pytest.approx(expected, rel=0.01)


def test_matches_bounded_quasi_newton_on_a_perceptron(classifier, mlp):
    """On a trained perceptron it is within 5 % of the best of five runs of L-BFGS-B."""
    case = classifier(mlp())
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=150) as surface:
        floor = surface.loss(surface.everything)
        bounds = EPSILON * (surface.position().abs() + 1)

        def descend(shares):
            surface.move(torch.from_numpy(shares) * bounds)
            value, gradient = surface.gradient(surface.everything)
            return -value * 1e4, -(gradient * bounds).numpy() * 1e4

        random = np.random.default_rng(0)
        ends = [
            minimize(descend, start, jac=True, method="L-BFGS-B", bounds=[(-1, 1)] * surface.size)
            for start in random.uniform(-1, 1, (5, surface.size))
        ]
        top = -min(end.fun for end in ends) / 1e4
    assert measure(case) == pytest.approx(100 * (top - floor) / (1 + floor), rel=0.05)


@pytest.mark.parametrize("steps", [10, 100, 300])
def test_random_starts_agree_within_5_per_cent(classifier, steps):
    """Early and late in training, ten seeds give nearly the same value."""
    torch.manual_seed(0)
    case = classifier(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)), steps)
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=150) as surface:
        top = hessian_top_eigenpair(surface, seed=0).vector
        values = [keskar_phi(surface, seed=seed, directions=(top,)) for seed in range(10)]
    assert max(values) / min(values) < 1.05


def test_a_flat_loss_has_zero(quadratic):
    """A constant loss does not rise."""
    case = quadratic(torch.ones(3), torch.zeros(3, 3), torch.zeros(4, 3), level=0.5)
    assert measure(case) == 0.0


def test_a_loss_that_leaves_the_numbers_is_not_a_number(quadratic):
    """Where the box holds a loss that is not finite there is no maximum."""
    case = quadratic(torch.ones(2), torch.eye(2), torch.zeros(4, 2))
    with on_surface(
        case.model,
        lambda samples: case.loss_sum(samples) + (1.0005 - case.model.values[0]).log() * 0.0,
        case.counts,
        samples_per_pass=4,
    ) as surface:
        assert math.isfinite(surface.loss(surface.everything))
        assert math.isnan(keskar_phi(surface, seed=0))


def test_a_manifold_is_the_same_each_time_and_follows_its_seed(manifold):
    """A is regenerated alike, and another seed gives another A of the same law."""
    other = RandomManifold(
        size=manifold.size,
        dimensions=3,
        seed=6,
        device=manifold.device,
        dtype=manifold.dtype,
    )
    entries = dense(manifold)
    assert torch.equal(entries, dense(manifold))
    assert not torch.equal(entries, dense(other))
    assert entries.std().item() == pytest.approx(1.0, abs=0.02)


def test_manifold_products_are_those_of_the_dense_matrix(manifold):
    """Lift, pull and coordinates are A y, A^T v and A^+ x."""
    entries = dense(manifold)
    vector = torch.arange(manifold.size, dtype=torch.float64).cos()
    point = torch.tensor([1.0, -2.0, 0.3]).double()
    torch.testing.assert_close(manifold.lift(point), entries @ point)
    torch.testing.assert_close(manifold.pull(vector), entries.T @ vector)
    torch.testing.assert_close(
        manifold.coordinates(vector), torch.linalg.lstsq(entries, vector).solution
    )


def test_a_linear_loss_rises_by_the_corner_of_the_manifold_box(quadratic):
    """For the loss c.x + 1 the rise is the sum of bounds times |A^T c|."""
    torch.manual_seed(0)
    slope, point = torch.randn(300).double(), torch.randn(300).double()
    case = quadratic(point, torch.zeros(300, 300).double(), torch.zeros(4, 300).double())

    def loss_sum(samples):
        return (case.model.values @ slope - point @ slope + 1.0) * (samples.stop - samples.start)

    with on_surface(case.model, loss_sum, case.counts, samples_per_pass=4) as surface:
        found = keskar_phi(surface, seed=3, manifold_dimensions=20)
    entries = dense(
        RandomManifold(
            size=300, dimensions=20, seed=3, device=torch.device("cpu"), dtype=torch.float64
        )
    )
    bounds = EPSILON * ((torch.linalg.pinv(entries) @ point).abs() + 1)
    assert found == pytest.approx(100 * (bounds @ (entries.T @ slope).abs()).item() / 2)
