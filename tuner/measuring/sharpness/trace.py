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


PROBE_BYTES: Final = 2**30
"""Memory that probes may take at once."""


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

    Cost: about 1.5 gradient evaluations a probe (`LossSurface.curvatures`). Memory: the probes,
    as many at once as `PROBE_BYTES` holds, and three vectors.

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
    at_once = max(1, PROBE_BYTES // (surface.size * surface.dtype.itemsize))
    values: list[float] = []
    while len(values) < probes:
        shape = (min(at_once, probes - len(values)), surface.size)
        vectors = torch.empty(shape, device=surface.device, dtype=surface.dtype)
        torch.randint(0, 2, shape, generator=generator, out=vectors)
        values += product.curvatures(vectors.mul_(2.0).sub_(1.0)).tolist()
    spread = torch.tensor(values, dtype=torch.float64)
    error = float(spread.std(correction=1)) / math.sqrt(probes)
    return Trace(value=float(spread.mean()), error=error)
