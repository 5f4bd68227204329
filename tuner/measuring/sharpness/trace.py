"""The trace of the Hessian of the mean loss, from random probes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from tuner.measuring.sharpness.hessian import HessianProduct

if TYPE_CHECKING:
    from tuner.measuring.sharpness.surface import LossSurface

LEAST_PROBES: Final = 2
"""Fewer say nothing about their spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """An estimate with its standard error."""

    value: float
    error: float


def hessian_trace(surface: LossSurface, *, seed: int, probes: int) -> Trace:
    """Estimate the trace of the Hessian by Hutchinson's method.

    The mean of v^T H v over vectors v whose entries are +1 or -1, each as likely (Hutchinson
    1990, doi:10.1080/03610919008812866). Of all probes with independent entries these have the
    smallest variance: what lies off the diagonal is all that makes it.

    Cost: one Hessian-vector product a probe. Memory: three vectors.

    Args:
        surface: Where to measure, over the whole set.
        seed: Of the probes.
        probes: Vectors, at least 2.

    Returns:
        Mean and standard error; both NaN where a product is not finite.

    Raises:
        ValueError: There are fewer than two probes.
    """
    if probes < LEAST_PROBES:
        raise ValueError(f"{probes} probes have no spread; take at least {LEAST_PROBES}")
    surface.move_home()
    product = HessianProduct(surface)
    generator = torch.Generator(surface.device).manual_seed(seed)
    values = []
    for _ in range(probes):
        vector = surface.zeros()
        torch.randint(0, 2, vector.shape, generator=generator, out=vector)
        vector.mul_(2.0).sub_(1.0)
        values.append(float((vector * product(vector)).sum(dtype=torch.float64)))
    spread = torch.tensor(values, dtype=torch.float64)
    error = float(spread.std(correction=1)) / math.sqrt(probes)
    return Trace(value=float(spread.mean()), error=error)
