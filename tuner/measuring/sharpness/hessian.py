"""The largest eigenvalue of the Hessian of the mean loss, without the Hessian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tuner.measuring.sharpness.lanczos import largest_eigenpair

if TYPE_CHECKING:
    from torch import Tensor

    from tuner.measuring.sharpness.lanczos import Eigenpair
    from tuner.measuring.sharpness.surface import LossSurface

RELATIVE_STEP: Final = 3e-3
"""Step of the finite difference, relative to the norm of the weights.

In fp32 a gradient carries a rounding error of about 1e-7 of its terms: the step keeps both that
error, divided by the step, and the cubic term of the loss below the per cent.
"""


def hessian_top_eigenpair(surface: LossSurface, *, seed: int) -> Eigenpair:
    """Measure the largest (algebraic) eigenvalue of the Hessian, and its eigenvector.

    Products come from double backward, with attention computed by its plain formula, since
    fused attention has no second derivative. If another operation of the model has none
    either, they come from a central difference of gradients.

    Cost: a few tens of products at most (see `lanczos`), each about 2.5 gradient evaluations.

    Args:
        surface: Where to measure, over the whole set.
        seed: Of the start vector.

    Returns:
        The pair; its value is NaN where the Hessian is not finite.
    """
    surface.move_home()
    start = _start(surface, seed)
    return largest_eigenpair(_Product(surface), start)


class _Product:
    """Hessian-vector products: exact ones until an operation turns out to have none."""

    def __init__(self, surface: LossSurface) -> None:
        self.surface = surface
        self.step: float | None = None

    def __call__(self, vector: Tensor) -> Tensor:
        if self.step is None:
            try:
                with sdpa_kernel(SDPBackend.MATH):
                    return self.surface.hessian_product(vector)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:
                # Autograd says it in many words ("derivative ... is not implemented",
                # "trying to differentiate twice"), but always by a RuntimeError.
                norm = float(torch.linalg.vector_norm(self.surface.position()))
                self.step = RELATIVE_STEP * (1.0 + norm)
        return difference_product(self.surface, vector, self.step)


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
