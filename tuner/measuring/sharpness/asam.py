"""Adaptive m-sharpness: how far the loss rises under a perturbation in proportion to weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from tuner.measuring.sharpness.surface import LossSurface

RHO: Final = 0.5
"""Radius of the ball in units of the weights; the paper's value for CIFAR-10."""

SAMPLES_PER_BATCH: Final = 128
"""The m of m-sharpness: samples that share one perturbation."""


def asam_sharpness(surface: LossSurface, *, rho: float = RHO) -> float:
    """Measure the m-sharpness under the element-wise adaptive perturbation.

    For each batch of m samples with gradient g at the weights w, the perturbation is

        delta = rho * w^2 * g / ||w * g||,

    which maximises the linearised loss over ||delta / w|| <= rho (Kwon et al. 2021,
    arXiv:2102.11600, with T_w = |w|). The value is the mean over batches (Foret et al. 2020,
    arXiv:2010.01412), by counted items, of L(w + delta) - L(w). The paper adds 0.01 to |w| to
    steady training; that would undo the invariance under rescaling which makes the measure
    comparable, so it is left out, and a weight of exactly zero stays.

    Cost: one gradient evaluation and one forward evaluation of the set. Memory: three vectors.

    Args:
        surface: Where to measure; its parameters are left moved.
        rho: Radius of the ball.

    Returns:
        Mean rise of the loss, in units of the loss; NaN where it is not defined.
    """
    weights = surface.position()
    rise = 0.0
    for start in range(0, surface.num_samples, SAMPLES_PER_BATCH):
        batch = slice(start, min(start + SAMPLES_PER_BATCH, surface.num_samples))
        count = surface.count(batch)
        if count == 0.0:
            continue
        surface.move_home()
        loss, gradient = surface.gradient(batch)
        surface.move(_perturbation(weights, gradient, rho))
        rise += count * (surface.loss(batch) - loss)
    total = surface.count(surface.everything)
    return rise / total if total else float("nan")


def _perturbation(weights: Tensor, gradient: Tensor, rho: float) -> Tensor:
    scaled = gradient.mul_(weights)
    norm = torch.linalg.vector_norm(scaled)
    if norm == 0.0:
        return scaled
    return scaled.mul_(weights).mul_(rho / norm)
