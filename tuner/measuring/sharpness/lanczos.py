"""The largest eigenvalues of a symmetric operator, by thick-restarted Lanczos."""

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
"""Products before which an estimate does not count as converged: where the start has little of
the first eigenvector, the second looks converged for a while."""

STEADY_PRODUCTS: Final = 3
"""Products over which the value must not have moved by more than the tolerance."""

SURE_RESIDUAL: Final = 2e-3
"""Relative residual at which the iteration stops early: an eigenvalue lies as near as that to the
value, whatever else there is. Two that are blended by a start keep their residual above it until
they are told apart, unless they lie as close together. The error itself, which goes with the
residual's square, is far smaller."""

LEAST_SURE_PRODUCTS: Final = 4
"""Products before which the iteration does not stop by its residual either."""

CONFIRMING_PRODUCTS: Final = 1
"""Products over which a value with a small residual must not have moved by more than the
tolerance."""

ACCEPTED_RESIDUAL: Final = 0.05
"""Relative residual up to which the last value counts when the products run out."""

MAX_PRODUCTS: Final = 60
"""Operator products at most, for the first eigenvalue."""

MORE_PRODUCTS: Final = 30
"""Operator products at most, for each eigenvalue after the first."""

FLOOR: Final = 0.01
"""Share of the first eigenvalue below which the error of another one is not held against that
one: what lies close to zero has no relative error to speak of."""

BASIS_BYTES: Final = 2**31
"""Memory that the basis may take before it is restarted with fewer vectors."""

SMALLEST_BASIS: Final = 5
"""Basis vectors that are held in any case."""

LARGEST_BASIS: Final = 30
"""Basis vectors that are ever held."""

SPARE: Final = 1
"""Ritz vectors that a restart keeps besides those that are wanted."""

ROOM: Final = 3
"""Basis vectors that are held at least besides those that a restart keeps."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Eigenvalues:
    """The largest eigenvalues of an operator, as far as they converged.

    Args:
        values: Descending; fewer than were wanted where products ran out or the operator has
            no more to tell, none where it gave something that is not finite.
        errors: Estimated absolute error of each.
        vector: Unit eigenvector of the first, shape (n,); None without values.
        products: Operator products that were spent.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    vector: Tensor | None
    products: int


def largest_eigenpair(
    product: Callable[[Tensor], Tensor], start: Tensor, *, largest_basis: int | None = None
) -> Eigenpair:
    """Find the largest (algebraic) eigenvalue of a symmetric operator.

    Args:
        product: The operator; takes and returns a vector (n,).
        start: Unit vector (n,), random, so that it has a part along the answer.
        largest_basis: Vectors held at most, at least 5; None: as memory allows.

    Returns:
        The pair.
    """
    found = largest_eigenvalues(product, start, count=1, largest_basis=largest_basis)
    value = found.values[0] if found.values else float("nan")
    return Eigenpair(value=value, vector=found.vector, products=found.products)


def largest_eigenvalues(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    count: int,
    largest_basis: int | None = None,
) -> Eigenvalues:
    """Find the largest (algebraic) eigenvalues of a symmetric operator.

    Lanczos with full re-orthogonalisation; when the basis is full it is restarted from its
    best Ritz vectors (Wu and Simon 2000, doi:10.1137/S0895479898334605). It stops when the
    residuals of all wanted values, which bound the distance to an eigenvalue, lie below
    `SURE_RESIDUAL`; or, after 10 products at the earliest, when their error estimates
    min(residual, residual^2 / gap) lie below `RELATIVE_TOLERANCE`; in both cases only where the
    values have been steady.
    From one start vector an eigenvalue of several dimensions is found once.

    Args:
        product: The operator; takes and returns a vector (n,).
        start: Unit vector (n,), random, so that it has a part along the answers.
        count: Eigenvalues that are wanted.
        largest_basis: Vectors held at most, but for what `count` needs; None: as memory allows.

    Returns:
        The values. Where the products run out, those before the first that is still moving.
    """
    kept = count + SPARE
    held = largest_basis or basis_size(start.numel(), start.element_size())
    held = min(max(held, kept + ROOM), start.numel())
    most = MAX_PRODUCTS + MORE_PRODUCTS * (count - 1)
    basis = start.new_empty((held, start.numel()))
    basis[0] = start
    projected = torch.zeros((held, held), dtype=torch.float64)
    filled, history = 1, [[float("-inf")] * count] * STEADY_PRODUCTS
    for products in range(1, most + 1):
        image = product(basis[filled - 1])
        coefficients, rest = _orthogonalise(basis[:filled], image)
        if not (torch.isfinite(coefficients).all() and torch.isfinite(rest)):
            break
        projected[:filled, filled - 1] = projected[filled - 1, :filled] = coefficients
        ritz = _Ritz.of(projected[:filled, :filled], float(rest))
        history.append(ritz.leading(count))
        spanned = filled == start.numel() or ritz.nothing_left
        converged = _converged(ritz, history, count)
        if spanned or converged or (products == most and ritz.accepted(count)):
            told = min(count, filled) if spanned or converged else ritz.accepted(count)
            vector = ritz.vectors[:, 0].to(basis) @ basis[:filled]
            return ritz.told(told, vector, products)
        if filled == held:
            filled = _restart(basis, projected, ritz, kept)
        basis[filled] = image / rest
        filled += 1
    return Eigenvalues(values=(), errors=(), vector=None, products=products)


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

    def leading(self, count: int) -> list[float]:
        missing = count - len(self.values)
        return self.values[:count] + [float("-inf")] * missing

    def error(self, place: int) -> float:
        """Estimate how far a Ritz value is off."""
        residual, value = self.residuals[place], self.values[place]
        beside = self.values[max(0, place - 1) : place] + self.values[place + 1 : place + 2]
        gap = min((abs(value - other) for other in beside), default=0.0)
        return min(residual, residual**2 / gap) if gap > 0.0 else residual

    def measure(self, place: int) -> float:
        """What an error of a value is held against."""
        return max(abs(self.values[place]), FLOOR * abs(self.values[0]))

    def sure(self, count: int) -> bool:
        """Every value is as near to an eigenvalue as its residual says."""
        return len(self.values) > count and all(
            self.residuals[place] <= SURE_RESIDUAL * self.measure(place) for place in range(count)
        )

    def near(self, count: int) -> bool:
        """Every value is near to an eigenvalue, to all appearances."""
        return len(self.values) > count and all(
            self.error(place) <= RELATIVE_TOLERANCE * self.measure(place) for place in range(count)
        )

    def accepted(self, count: int) -> int:
        """Count the first values that are near enough when the products have run out."""
        near = [
            self.residuals[place] <= ACCEPTED_RESIDUAL * self.measure(place)
            for place in range(min(count, len(self.values)))
        ]
        return near.index(False) if False in near else len(near)

    def told(self, count: int, vector: Tensor, products: int) -> Eigenvalues:
        return Eigenvalues(
            values=tuple(self.values[:count]),
            errors=tuple(self.error(place) for place in range(count)),
            vector=vector,
            products=products,
        )


def _converged(ritz: _Ritz, history: list[list[float]], count: int) -> bool:
    products = len(history) - STEADY_PRODUCTS
    if products >= LEAST_SURE_PRODUCTS and ritz.sure(count):
        return _steady(history, count, CONFIRMING_PRODUCTS)
    if products >= LEAST_PRODUCTS and ritz.near(count):
        return _steady(history, count, STEADY_PRODUCTS)
    return False


def _steady(history: list[list[float]], count: int, products: int) -> bool:
    now, before = history[-1], history[-1 - products]
    return all(
        abs(now[place] - before[place])
        <= RELATIVE_TOLERANCE * max(abs(now[place]), FLOOR * abs(now[0]))
        for place in range(count)
    )


def _orthogonalise(basis: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    # Twice is enough: after the second sweep the rest is orthogonal to rounding error.
    first = basis @ image
    image -= first @ basis
    second = basis @ image
    image -= second @ basis
    return (first + second).to("cpu", torch.float64), torch.linalg.vector_norm(image)


def _restart(basis: Tensor, projected: Tensor, ritz: _Ritz, count: int) -> int:
    kept = ritz.vectors[:, :count].T.to(basis)
    for start in range(0, basis.shape[1], BLOCK):
        block = basis[:, start : start + BLOCK]
        basis[:count, start : start + BLOCK] = kept @ block
    projected.zero_()
    projected[:count, :count] = torch.diag(torch.tensor(ritz.values[:count], dtype=torch.float64))
    return count
