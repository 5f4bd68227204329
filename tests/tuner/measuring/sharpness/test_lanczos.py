"""The largest eigenvalue of symmetric matrices, against the dense decomposition."""

from __future__ import annotations

import pytest
import torch

from tuner.measuring.sharpness import lanczos
from tuner.measuring.sharpness.lanczos import (
    LARGEST_BASIS,
    LEAST_PRODUCTS,
    LEAST_SURE_PRODUCTS,
    MAX_PRODUCTS,
    SMALLEST_BASIS,
    basis_size,
    largest_eigenpair,
    largest_eigenvalues,
)


def symmetric(eigenvalues, seed=0):
    """Make a symmetric matrix with given eigenvalues."""
    torch.manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues)).double())
    return basis @ torch.diag(torch.as_tensor(eigenvalues).double()) @ basis.T


def unit(size, seed=0):
    """Draw a random unit vector."""
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(size, generator=generator, dtype=torch.float64)
    return vector / vector.norm()


@pytest.mark.parametrize("largest_basis", [5, 12, 30])
def test_finds_the_largest_eigenvalue_with_and_without_restarts(largest_basis):
    """A long tail of eigenvalues below two close ones is told apart, however few are held."""
    matrix = symmetric([*torch.linspace(-1.0, 6.0, 200).tolist(), 9.0, 10.0])
    pair = largest_eigenpair(lambda v: matrix @ v, unit(202), largest_basis=largest_basis)
    assert pair.value == pytest.approx(10.0, rel=2e-3)
    assert pair.products <= MAX_PRODUCTS


def test_the_vector_is_the_eigenvector():
    """The returned vector has unit norm and is scaled by the operator."""
    matrix = symmetric([*torch.linspace(0.0, 1.0, 50).tolist(), 4.0])
    pair = largest_eigenpair(lambda v: matrix @ v, unit(51))
    assert pair.vector.norm().item() == pytest.approx(1.0)
    torch.testing.assert_close(matrix @ pair.vector, 4.0 * pair.vector, atol=0.05, rtol=0.0)


def test_means_the_algebraically_largest():
    """A larger negative curvature is not the answer."""
    matrix = symmetric([-50.0, *torch.linspace(-1.0, 1.0, 60).tolist(), 3.0])
    pair = largest_eigenpair(lambda v: matrix @ v, unit(62))
    assert pair.value == pytest.approx(3.0, rel=2e-3)


@pytest.mark.parametrize("seed", range(6))
def test_is_not_fooled_by_a_start_that_lacks_the_first_eigenvector(seed):
    """A start with a thousandth of the first eigenvector still ends at the first eigenvalue."""
    eigenvalues = [*(0.9**k for k in range(60)), 1.2]
    start = unit(61, seed)
    start[-1] = 1e-3 * start.abs().max()
    start /= start.norm()
    scale = torch.tensor(eigenvalues).double()
    pair = largest_eigenpair(lambda v: scale * v, start)
    assert pair.value == pytest.approx(1.2, rel=2e-3)


def test_an_operator_of_few_eigenvalues_is_exact():
    """The iteration stops as soon as nothing new is left, whatever the size."""
    scale = torch.tensor([1.0, 2.0, 5.0]).double().repeat(100)
    pair = largest_eigenpair(lambda v: scale * v, unit(300))
    assert pair.value == pytest.approx(5.0, rel=1e-9)
    assert pair.products == 3


@pytest.mark.parametrize("size", [1, 2, 3])
def test_spaces_smaller_than_a_basis(size):
    """One, two and three dimensions are spanned whole."""
    matrix = symmetric([1.0, 2.0, 7.0][-size:])
    assert largest_eigenpair(lambda v: matrix @ v, unit(size)).value == pytest.approx(7.0)


def test_a_zero_operator_has_zero():
    """No curvature is a value, not a failure."""
    assert largest_eigenpair(torch.zeros_like, unit(9)).value == 0.0


def test_what_is_not_finite_is_not_a_number():
    """A NaN in a product gives NaN and no vector."""
    pair = largest_eigenpair(lambda v: v * float("nan"), unit(9))
    assert pair.value != pair.value
    assert pair.vector is None


def test_the_basis_shrinks_with_the_model():
    """Small models get the whole basis, large ones a few vectors."""
    assert basis_size(10_000, 4) == LARGEST_BASIS
    assert basis_size(10**8, 4) == SMALLEST_BASIS
    assert SMALLEST_BASIS < basis_size(4 * 10**7, 4) < LARGEST_BASIS


@pytest.mark.parametrize("largest_basis", [5, 12, 30])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_finds_the_largest_eigenvalues_in_order(largest_basis, count):
    """Well separated leading eigenvalues come out descending, with honest errors."""
    leading = [20.0, 15.0, 11.0, 8.0, 5.0, 3.0, 2.0]
    matrix = symmetric([*torch.linspace(-0.5, 1.0, 200).tolist(), *leading])
    found = largest_eigenvalues(
        lambda v: matrix @ v, unit(207), count=count, largest_basis=largest_basis
    )
    assert list(found.values) == pytest.approx(leading[:count], rel=5e-3)
    assert len(found.errors) == count
    for value, error, true in zip(found.values, found.errors, leading, strict=False):
        assert abs(value - true) <= max(2.0 * error, 1e-3 * true)


def test_a_small_operator_tells_no_more_than_it_has():
    """More eigenvalues than dimensions cannot be wanted; a multiple one is found once."""
    matrix = symmetric([1.0, 2.0, 7.0])
    found = largest_eigenvalues(lambda v: matrix @ v, unit(3), count=5)
    assert list(found.values) == pytest.approx([7.0, 2.0, 1.0])
    scale = torch.tensor([1.0, 2.0, 5.0]).double().repeat(100)
    repeated = largest_eigenvalues(lambda v: scale * v, unit(300), count=5)
    assert list(repeated.values) == pytest.approx([5.0, 2.0, 1.0])


def test_values_that_do_not_settle_are_left_out(monkeypatch):
    """When the products run out only those before the first moving one are told."""
    monkeypatch.setattr(lanczos, "MAX_PRODUCTS", 12)
    monkeypatch.setattr(lanczos, "MORE_PRODUCTS", 0)
    matrix = symmetric([*torch.linspace(0.0, 1.0, 400).tolist(), 3.0])
    found = largest_eigenvalues(lambda v: matrix @ v, unit(401), count=4)
    assert list(found.values)[:1] == pytest.approx([3.0])
    assert len(found.values) < 4


SPECTRA = {
    "one far out": [*torch.linspace(-0.02, 0.05, 300).tolist(), 1.0],
    "a power law": [1.0 / k for k in range(1, 300)],
    "ten that shrink by a fifth": [
        *torch.linspace(-0.02, 0.05, 300).tolist(),
        *(0.8**k for k in range(10)),
    ],
    "a cluster below": [
        *torch.linspace(-0.02, 0.5, 300).tolist(),
        *(0.8 + k / 500 for k in range(6)),
        1.0,
    ],
    "a far negative one": [-3.0, *torch.linspace(-0.02, 0.05, 300).tolist(), 0.5, 0.8, 1.0],
    "as far down as up": [-1.0, -0.9, *torch.linspace(-0.05, 0.05, 300).tolist(), 0.9, 1.0],
    "a wide bulk": [*torch.linspace(-0.8, 0.8, 400).tolist(), 1.0],
}


@pytest.mark.parametrize("name", SPECTRA)
def test_stops_within_a_thousandth_whatever_the_spectrum(name):
    """Over ten starts on separated, clustered and indefinite spectra no value is off."""
    scale = torch.tensor(SPECTRA[name]).double()
    for seed in range(10):
        pair = largest_eigenpair(lambda v: scale * v, unit(len(scale), seed))
        assert pair.value == pytest.approx(1.0, rel=1e-3)


def test_a_separated_value_takes_few_products():
    """Where the residual vanishes at once no further products are spent to be sure."""
    scale = torch.tensor(SPECTRA["one far out"]).double()
    for seed in range(5):
        products = largest_eigenpair(lambda v: scale * v, unit(len(scale), seed)).products
        assert LEAST_SURE_PRODUCTS <= products < LEAST_PRODUCTS


@pytest.mark.parametrize("apart", [0.1, 0.05, 0.02])
def test_two_that_are_blended_are_told_apart_before_the_end(apart):
    """A start that holds two close eigenvectors alike does not end between their values."""
    scale = torch.cat([torch.linspace(-0.02, 0.05, 300), torch.tensor([1.0 - apart, 1.0])]).double()
    start = unit(302)
    start[-2:] = 0.05
    pair = largest_eigenpair(lambda v: scale * v, start / start.norm())
    assert pair.value == pytest.approx(1.0, rel=1e-3)


def test_every_wanted_value_has_to_be_sure():
    """A first value that is found at once does not end the search for the third."""
    scale = torch.tensor(SPECTRA["ten that shrink by a fifth"]).double()
    one = largest_eigenvalues(lambda v: scale * v, unit(310), count=1)
    three = largest_eigenvalues(lambda v: scale * v, unit(310), count=3)
    assert list(three.values) == pytest.approx([1.0, 0.8, 0.64], rel=2e-3)
    assert one.products < three.products
