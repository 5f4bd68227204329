"""The largest eigenvalue of a symmetric operator, by thick-restarted Lanczos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

RELATIVE_TOLERANCE: Final = 1e-3
"""Estimated relative error of the eigenvalue at which the iteration stops."""

LEAST_PRODUCTS: Final = 10
"""Products before which nothing counts as converged: where the start has little of the first
eigenvector, the second looks converged for a while."""

STEADY_PRODUCTS: Final = 3
"""Products over which the value must not have moved by more than the tolerance."""

ACCEPTED_RESIDUAL: Final = 0.05
"""Relative residual up to which the last value counts when the products run out."""

MAX_PRODUCTS: Final = 60
"""Operator products at most."""

BASIS_BYTES: Final = 2**31
"""Memory that the basis may take before it is restarted with fewer vectors."""

SMALLEST_BASIS: Final = 5
"""Basis vectors that are held in any case."""

LARGEST_BASIS: Final = 30
"""Basis vectors that are ever held."""

KEPT: Final = 2
"""Ritz vectors that a restart keeps."""

BLOCK: Final = 2**18
"""Columns of the basis that a restart combines at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eigenpair:
    """An eigenvalue with its unit eigenvector.

    Args:
        value: NaN if the operator gave something that is not finite, or the iteration did
            not come near a limit.
        vector: Shape (n,); None where the value is NaN.
        products: Operator products that were spent.
    """

    value: float
    vector: Tensor | None
    products: int


def basis_size(size: int, element_bytes: int) -> int:
    """Say how many basis vectors of `size` elements are held.

    That is 30 up to 1.8e7 fp32 parameters, and 5 (2 GB) at 1e8. One more vector holds the
    product in work.
    """
    affordable = BASIS_BYTES // (size * element_bytes)
    return min(max(affordable, SMALLEST_BASIS), LARGEST_BASIS)


def largest_eigenpair(
    product: Callable[[Tensor], Tensor], start: Tensor, *, largest_basis: int | None = None
) -> Eigenpair:
    """Find the largest (algebraic) eigenvalue of a symmetric operator.

    Lanczos with full re-orthogonalisation; when the basis is full it is restarted from its
    best Ritz vectors (Wu and Simon 2000, doi:10.1137/S0895479898334605). It stops when the
    error estimate min(residual, residual^2 / gap) lies below `RELATIVE_TOLERANCE` and the value
    has been steady, after 10 products at the earliest.

    Args:
        product: The operator; takes and returns a vector (n,).
        start: Unit vector (n,), random, so that it has a part along the answer.
        largest_basis: Vectors held at most, at least 4; None: as memory allows.

    Returns:
        The pair.
    """
    held = largest_basis or basis_size(start.numel(), start.element_size())
    held = min(held, start.numel())
    basis = start.new_empty((held, start.numel()))
    basis[0] = start
    projected = torch.zeros((held, held), dtype=torch.float64)
    filled, values = 1, [float("-inf")] * STEADY_PRODUCTS
    for products in range(1, MAX_PRODUCTS + 1):
        image = product(basis[filled - 1])
        coefficients, rest = _orthogonalise(basis[:filled], image)
        if not (torch.isfinite(coefficients).all() and torch.isfinite(rest)):
            break
        projected[:filled, filled - 1] = projected[filled - 1, :filled] = coefficients
        ritz = _Ritz.of(projected[:filled, :filled], float(rest))
        values.append(ritz.values[0])
        spanned = filled == start.numel() or ritz.nothing_left
        converged = products >= LEAST_PRODUCTS and _steady(values) and ritz.converged
        if spanned or converged or (products == MAX_PRODUCTS and ritz.acceptable):
            vector = ritz.vectors[:, 0].to(basis) @ basis[:filled]
            return Eigenpair(value=ritz.values[0], vector=vector, products=products)
        if filled == held:
            filled = _restart(basis, projected, ritz)
        basis[filled] = image / rest
        filled += 1
    return Eigenpair(value=float("nan"), vector=None, products=products)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ritz:
    """Approximate eigenpairs of the projected operator, the largest first."""

    values: list[float]
    vectors: Tensor
    residuals: list[float]
    rest: float

    @classmethod
    def of(cls, projected: Tensor, rest: float) -> _Ritz:
        values, vectors = torch.linalg.eigh(projected)
        vectors = vectors.flip(1)
        residuals = (vectors[-1].abs() * rest).tolist()
        return cls(values=values.flip(0).tolist(), vectors=vectors, residuals=residuals, rest=rest)

    @property
    def scale(self) -> float:
        return max(abs(self.values[0]), abs(self.values[-1]))

    @property
    def nothing_left(self) -> bool:
        """The basis spans an invariant subspace: its eigenvalues are exact."""
        return self.rest <= 1e-6 * self.scale

    @property
    def converged(self) -> bool:
        residual, gap = self.residuals[0], self.values[0] - self.values[1]
        estimate = min(residual, residual**2 / gap) if gap > 0.0 else residual
        return estimate <= RELATIVE_TOLERANCE * abs(self.values[0])

    @property
    def acceptable(self) -> bool:
        return self.residuals[0] <= ACCEPTED_RESIDUAL * abs(self.values[0])


def _steady(values: list[float]) -> bool:
    change = values[-1] - values[-1 - STEADY_PRODUCTS]
    return abs(change) <= RELATIVE_TOLERANCE * abs(values[-1])


def _orthogonalise(basis: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    # Twice is enough: after the second sweep the rest is orthogonal to rounding error.
    first = basis @ image
    image -= first @ basis
    second = basis @ image
    image -= second @ basis
    return (first + second).to("cpu", torch.float64), torch.linalg.vector_norm(image)


def _restart(basis: Tensor, projected: Tensor, ritz: _Ritz) -> int:
    kept = ritz.vectors[:, :KEPT].T.to(basis)
    for start in range(0, basis.shape[1], BLOCK):
        block = basis[:, start : start + BLOCK]
        basis[:KEPT, start : start + BLOCK] = kept @ block
    projected.zero_()
    projected[:KEPT, :KEPT] = torch.diag(torch.tensor(ritz.values[:KEPT], dtype=torch.float64))
    return KEPT
