"""The maximum of a function over a box round zero, by sign ascent on the device."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

MAX_ITERATIONS: Final = 25
"""Gradient evaluations per start at most."""

PATIENCE: Final = 1
"""Evaluations without a rise that matters, after which an ascent stops."""

RELATIVE_RISE: Final = 3e-3
"""Share of the rise so far that counts as one that matters."""

GROWTH: Final = 1.5
"""Factor on a coordinate's step while the sign of its slope lasts."""

SHRINKAGE: Final = 0.5
"""Factor on a coordinate's step when that sign turns."""


def ascend_in_box(
    evaluate: Callable[[Tensor], tuple[float, Tensor]],
    bounds: Tensor,
    start: Tensor,
    *,
    floor: float,
) -> float:
    """Climb from one start to a local maximum of a function over |z_i| <= bounds_i.

    Each coordinate steps along the sign of its slope and is clipped to the box; its step
    begins at the width of the box and shrinks only where that sign turns (Riedmiller and
    Braun 1993, Rprop). While signs last this is the conditional-gradient method, which goes
    from corner to corner and never falls on a convex function; where the maximum lies inside,
    the steps close in on it.

    Memory: four vectors besides `start` and `bounds`.

    Args:
        evaluate: Value and gradient at a point of the box.
        bounds: Half-widths of the box, above zero.
        start: First point, in the box; it is overwritten.
        floor: Value at the centre, from which the rise is counted.

    Returns:
        The highest value seen, `floor` included; NaN once a value is not finite.
    """
    best, idle = floor, 0
    step = bounds * 2.0
    signs = torch.zeros_like(bounds)
    for _ in range(MAX_ITERATIONS):
        value, gradient = evaluate(start)
        if not math.isfinite(value):
            return math.nan
        matters = value - best > RELATIVE_RISE * (best - floor)
        idle = 0 if matters else idle + 1
        best = max(best, value)
        if idle > PATIENCE:
            break
        gradient.sign_()
        signs.mul_(gradient)
        step.mul_(torch.where(signs < 0.0, SHRINKAGE, GROWTH))
        torch.minimum(step, bounds * 2.0, out=step)
        signs = gradient
        start.addcmul_(step, signs)
        torch.clamp(start, -bounds, bounds, out=start)
    return best
