"""The largest eigenvalues of the Hessian of the mean loss, without the Hessian."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

import torch
from torch.autograd.function import BackwardCFunction
from torch.nn.attention import SDPBackend, sdpa_kernel

from tuner.measuring.out_of_memory import is_out_of_memory
from tuner.measuring.sharpness.graphs import GradientGraphs
from tuner.measuring.sharpness.lanczos import largest_eigenpair, largest_eigenvalues

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from torch import Tensor
    from torch.autograd.graph import Node

    from tuner.measuring.sharpness.lanczos import Eigenpair, Eigenvalues
    from tuner.measuring.sharpness.surface import LossSurface

RELATIVE_STEP: Final = 5e-4
"""Step of the finite difference, relative to one plus the norm of the weights.

Larger steps leave the sharpest minima (a sixfold curvature at twenty times this step was seen),
smaller ones drown in the rounding of fp32 gradients.
"""


def hessian_top_eigenpair(surface: LossSurface, *, seed: int) -> Eigenpair:
    """Measure the largest (algebraic) eigenvalue of the Hessian, and its eigenvector.

    Products come from double backward, with attention computed by its plain formula, since
    fused attention has no second derivative. Where another operation of the model has none
    either, or hides what it computes in a backward of its own, they come from a central
    difference of gradients, which is good to a few per cent.

    Cost: 5 to 15 products as a rule, 60 at most (see `lanczos`), each of about 1.5 gradient
    evaluations where memory holds the gradients' graphs, of 2.5 elsewhere. Memory: the basis
    (`basis_size`), the graphs (`GRAPH_BYTES` at most) and four vectors.

    Args:
        surface: Where to measure, over the whole set.
        seed: Of the start vector.

    Returns:
        The pair; its value is NaN where the Hessian is not finite.
    """
    surface.move_home()
    start = _start(surface, seed)
    with HessianProduct(surface) as product:
        return largest_eigenpair(product, start)


def hessian_top_eigenvalues(surface: LossSurface, *, seed: int, count: int) -> Eigenvalues:
    """Measure the largest (algebraic) eigenvalues of the Hessian.

    Args:
        surface: Where to measure, over the whole set.
        seed: Of the start vector.
        count: Eigenvalues that are wanted.

    Returns:
        As many as converged, and the eigenvector of the first; see `hessian_top_eigenpair`
        for what it costs, about half as much again for every value after the first.
    """
    surface.move_home()
    start = _start(surface, seed)
    with HessianProduct(surface) as product:
        return largest_eigenvalues(product, start, count=count)


class HessianProduct(AbstractContextManager["HessianProduct"]):
    """Hessian-vector products: exact ones until an operation turns out to have none.

    Leaving the context lets go of what was kept from one product to the next.

    Args:
        surface: Where to measure; its parameters are at the origin.
    """

    def __init__(self, surface: LossSurface) -> None:
        self.surface = surface
        self.step = self._choose_step() if _own_derivatives(surface) else None
        self._graphs = GradientGraphs(surface)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of all graphs."""
        self._graphs.drop()

    @property
    def kept(self) -> int:
        """Passes whose gradient is kept with its graph."""
        return self._graphs.kept

    def __call__(self, vector: Tensor) -> Tensor:
        """Multiply a vector (n,) by the Hessian."""
        exact = self._exactly(lambda: self._graphs.product(vector))
        if exact is not None:
            return exact
        return difference_product(self.surface, vector, self._difference_step())

    def curvatures(self, vectors: Tensor) -> Tensor:
        """Compute v^T H v, shape (k,) in float64, of vectors v, shape (k, n)."""
        exact = self._exactly(lambda: self.surface.curvatures(vectors))
        if exact is not None:
            return exact
        along = []
        for vector in vectors:
            norm = torch.linalg.vector_norm(vector)
            product = difference_product(self.surface, vector / norm, self._difference_step())
            along.append((vector * product).sum(dtype=torch.float64) * norm)
        return torch.stack(along)

    def _exactly(self, compute: Callable[[], Tensor]) -> Tensor | None:
        """Differentiate twice; None where that has turned out to be impossible."""
        if self.step is None:
            try:
                with sdpa_kernel(SDPBackend.MATH):
                    return compute()
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                # Autograd says it in many words ("derivative ... is not implemented",
                # "trying to differentiate twice"), but always by a RuntimeError. Differences
                # move the parameters, after which no graph is of use.
                self._graphs.drop()
                self.step = self._choose_step()
        return None

    def _difference_step(self) -> float:
        return self._choose_step() if self.step is None else self.step

    def _choose_step(self) -> float:
        return RELATIVE_STEP * (1.0 + float(torch.linalg.vector_norm(self.surface.position())))


def _own_derivatives(surface: LossSurface) -> bool:
    """Say whether some function of the model brings a backward of its own.

    Such a backward may compute outside of autograd's sight, or be marked as differentiable once;
    `autograd.grad` then leaves its share of the second derivative out without a word.
    """
    seen: set[Node] = set()
    ahead = [surface.loss_sum(slice(0, 1)).grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        if isinstance(node, BackwardCFunction) or "CppNode" in node.name():
            return True
        seen.add(node)
        ahead.extend(following for following, _ in node.next_functions)
    return False


def difference_product(surface: LossSurface, vector: Tensor, step: float) -> Tensor:
    """Approximate a Hessian-vector product by a central difference of two gradients.

    Args:
        surface: Its parameters come back to the origin.
        vector: Direction, shape (n,), of unit norm.
        step: Distance to either side.

    Returns:
        The product, shape (n,).
    """
    surface.move(vector * step)
    _, ahead = surface.gradient(surface.everything)
    surface.move(vector * -step)
    _, behind = surface.gradient(surface.everything)
    surface.move_home()
    return ahead.sub_(behind).div_(2.0 * step)


def _start(surface: LossSurface, seed: int) -> Tensor:
    generator = torch.Generator(surface.device).manual_seed(seed)
    vector = torch.randn(
        surface.size, generator=generator, device=surface.device, dtype=surface.dtype
    )
    return vector.div_(torch.linalg.vector_norm(vector))
