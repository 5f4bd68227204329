"""A random linear manifold through the weights, regenerated from its seed, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

ROWS_PER_BLOCK: Final = 2**15
"""Rows of A that exist at once; 13 MB with 100 columns in fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomManifold:
    """The points x + A y for a random A (n, p) with independent standard normal entries.

    Args:
        size: Rows of A, n.
        dimensions: Columns of A, p.
        seed: A follows from it, on one kind of device.
        device: Where A is generated.
        dtype: Dtype of A.
    """

    size: int
    dimensions: int
    seed: int
    device: torch.device
    dtype: torch.dtype

    def lift(self, point: Tensor) -> Tensor:
        """Compute A y, shape (n,), of y, shape (p,)."""
        vector = torch.empty(self.size, device=self.device, dtype=self.dtype)
        for rows, block in self._blocks():
            vector[rows] = block @ point
        return vector

    def pull(self, vector: Tensor) -> Tensor:
        """Compute A^T v, shape (p,), of v, shape (n,): the gradient along the manifold."""
        point = torch.zeros(self.dimensions, device=self.device, dtype=self.dtype)
        for rows, block in self._blocks():
            point += vector[rows] @ block
        return point

    def coordinates(self, vector: Tensor) -> Tensor:
        """Compute A^+ x, shape (p,), of x, shape (n,), through (A^T A)^+ A^T."""
        gram = torch.zeros(
            (self.dimensions, self.dimensions), device=self.device, dtype=torch.float64
        )
        right = torch.zeros(self.dimensions, device=self.device, dtype=torch.float64)
        for rows, block in self._blocks():
            gram += block.T @ block
            right += vector[rows] @ block
        point: Tensor = torch.linalg.pinv(gram, hermitian=True) @ right
        return point.to(self.dtype)

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        generator = torch.Generator(self.device).manual_seed(self.seed)
        for start in range(0, self.size, ROWS_PER_BLOCK):
            rows = slice(start, min(start + ROWS_PER_BLOCK, self.size))
            shape = (rows.stop - rows.start, self.dimensions)
            yield (
                rows,
                torch.randn(shape, generator=generator, device=self.device, dtype=self.dtype),
            )
