"""Keskar's phi: the relative rise of the loss in a small box round the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from tuner.measuring.sharpness.ascent import ascend_in_box
from tuner.measuring.sharpness.manifold import RandomManifold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from tuner.measuring.sharpness.surface import LossSurface

EPSILON: Final = 1e-3
"""Half-width of the box, relative to |x| + 1; the paper's larger value."""


def keskar_phi(
    surface: LossSurface,
    *,
    seed: int,
    directions: Sequence[Tensor] = (),
    manifold_dimensions: int | None = None,
    start_seed: int | None = None,
    epsilon: float = EPSILON,
) -> float:
    """Measure phi = 100 (max f - f) / (1 + f) over the box |z_i| <= epsilon (|x_i| + 1).

    Keskar et al. 2016, arXiv:1609.04836. With `manifold_dimensions` the search is over
    x + A y, |y_i| <= epsilon (|(A^+ x)_i| + 1), with a random A; the paper takes 100. The
    paper stops L-BFGS-B after 10 iterations, which may lie several times below the maximum;
    this climbs on until it stands, so values are at least the paper's.

    The ascent starts at the corner up the slope, at a random corner, at the corner nearest to
    each of `directions`, and opposite to the latter two; the highest end counts. Starts against
    the slope matter: late in training they were seen to reach twice the value of those along it.

    Cost: 4 to 15 gradient evaluations of the set per start, 25 at most. Memory: seven
    vectors.

    Args:
        surface: Where to measure; its parameters are left moved.
        seed: Of A, and of the random corner unless `start_seed` is given.
        directions: Vectors (n,) along which the loss is known to bend; not for a manifold.
        manifold_dimensions: Columns of A; None for the whole space.
        start_seed: Of the random corner alone: A is part of what is measured, starts are not.
        epsilon: Half-width of the box.

    Returns:
        Per cent; NaN where it is not defined.
    """
    surface.move_home()
    everything = surface.everything
    floor, slope = surface.gradient(everything)
    if not math.isfinite(floor) or floor <= -1.0:
        return math.nan
    manifold = None
    weights = surface.position()
    if manifold_dimensions is not None:
        manifold = RandomManifold(
            size=surface.size,
            dimensions=manifold_dimensions,
            seed=seed,
            device=surface.device,
            dtype=surface.dtype,
        )
        weights, slope = manifold.coordinates(weights), manifold.pull(slope)
    bounds = weights.abs_().add_(1.0).mul_(epsilon)

    def evaluate(point: Tensor) -> tuple[float, Tensor]:
        surface.move(point if manifold is None else manifold.lift(point))
        value, gradient = surface.gradient(everything)
        return value, gradient if manifold is None else manifold.pull(gradient)

    top = floor
    corner = seed if start_seed is None else start_seed
    for start in _starts(bounds, slope, directions if manifold is None else (), corner):
        end = ascend_in_box(evaluate, bounds, start, floor=floor)
        if math.isnan(end):
            return math.nan
        top = max(top, end)
    return 100.0 * (top - floor) / (1.0 + floor)


def _starts(
    bounds: Tensor, slope: Tensor, directions: Sequence[Tensor], seed: int
) -> Iterator[Tensor]:
    generator = torch.Generator(bounds.device).manual_seed(seed)
    if slope.any():
        yield bounds * slope.sign()
    noise = torch.randn(bounds.shape, generator=generator, device=bounds.device, dtype=bounds.dtype)
    for direction in (*directions, noise):
        yield bounds * direction.sign()
        yield bounds * -direction.sign()
