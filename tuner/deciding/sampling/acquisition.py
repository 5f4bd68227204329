"""Which point is worth the most per second: expected improvement over expected cost.

With mean m and deviation s of the score at a point, and the incumbent's expected score f,

    EI = (f - m) Phi(z) + s phi(z),   z = (f - m) / s           in units of ln T
    cost = min(exp(m), 1.3 exp(f))                              a run is cut there

Sources: Jones, Schonlau and Welch 1998 (EI); Snoek, Larochelle and Adams 2012,
arXiv:1206.2944 (EI per second).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from tuner.deciding.limits import SEARCH_LIMIT
from tuner.deciding.posterior import Posterior
from tuner.deciding.prior import Floats
from tuner.deciding.sampling.space import Point, Space, candidates, known

WORTH_A_TRIAL: Final = 0.002
"""Expected improvement of ln T below which no further trial is worth its cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The point to try next.

    Args:
        point: Global batch size and learning rate.
        gain: The largest expected improvement of any point, in units of the score.
    """

    point: Point
    gain: float


def choose(
    belief: Posterior,
    space: Space,
    tried: Sequence[Point],
    run_seconds: Mapping[int, float] | None = None,
) -> Choice | None:
    """Choose the candidate of the largest expected improvement per expected second.

    Args:
        belief: What is believed of the score, running trials included.
        space: What may be suggested.
        tried: Points that are not tried again: a seed gives the same result twice.
        run_seconds: What a run costs at each batch; None where the score is ln of that.

    Returns:
        The best candidate, or None where every one was tried.
    """
    points = [p for p in candidates(belief.prior, space, belief.best) if not known(p, tried)]
    if not points:
        return None
    means, deviations = belief.scores(points)
    incumbent = belief.incumbent
    best = float(means.min()) if incumbent is None else incumbent
    gains = expected_improvement(means, deviations, best)
    if run_seconds is None:
        seconds = np.exp(np.minimum(means, best + np.log(SEARCH_LIMIT)))
    else:
        seconds = np.array([run_seconds[batch] for batch, _ in points])
    index = int(np.argmax(gains / seconds))
    return Choice(point=points[index], gain=float(gains.max()))


def expected_improvement(means: Floats, deviations: Floats, incumbent: float) -> Floats:
    """Return E[max(0, incumbent - score)] of normal scores, shape (points,)."""
    deviations = np.maximum(deviations, 1e-12)
    z = (incumbent - means) / deviations
    improvement: Floats = (incumbent - means) * stats.norm.cdf(z) + deviations * stats.norm.pdf(z)
    return np.maximum(improvement, 0.0)
