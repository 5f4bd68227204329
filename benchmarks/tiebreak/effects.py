"""What a choice changed on seeds that it had not seen, and how sure that is.

The difference is paired: pick less fastest, on the same seed. Confirmations that share seeds
are not independent, so intervals come from drawing seeds, not confirmations: each draw of eight
seeds with replacement weighs a confirmation by how often its seeds were drawn, and each held-out
seed likewise. That is the bootstrap of a U-statistic (Arcones and Gine 1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.tiebreak.picks import Pick
from tuner.deciding.comparison import CONFIDENCE, interval

DRAWS: Final = 2000
SEED: Final = 0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A mean paired difference.

    Args:
        mean: Over confirmations and the seeds they held out; NaN where there are none.
        draws: The same of each bootstrap draw, (D,); NaN where a draw holds none.
    """

    mean: float
    draws: Floats

    def plain(self) -> dict[str, float] | None:
        """State mean and interval; None where there was nothing to compare."""
        if not np.isfinite(self.mean):
            return None
        low, high = _ends(self.draws)
        return {"mean": _rounded(self.mean), "low": low, "high": high}


def effect(picks: Sequence[Pick], values: Floats) -> Effect:
    """Average the difference that the choices made, on the seeds that they had not seen.

    Args:
        picks: Confirmations; those in which the fastest was chosen say nothing.
        values: By candidate and seed, (C, S); NaN where a run has none.
    """
    decided = [one for one in picks if one.chosen != one.fastest]
    seeds = values.shape[1]
    if not decided:
        return Effect(mean=np.nan, draws=np.full(DRAWS, np.nan))
    ran = np.array([[seed in one.seeds for seed in range(seeds)] for one in decided])
    chosen, fastest = ([getattr(one, end) for one in decided] for end in ("chosen", "fastest"))
    difference = values[chosen] - values[fastest]
    known = ~ran & np.isfinite(difference)
    difference = np.where(known, difference, 0.0)
    drawn = np.random.default_rng(SEED).multinomial(seeds, np.full(seeds, 1.0 / seeds), DRAWS)
    weights = np.vstack([np.ones(seeds), drawn]).astype(float)
    each = np.ones((len(weights), len(decided)))
    for place in np.array([one.seeds for one in decided]).T:
        each *= weights[:, place]
    total = (each * (weights @ difference.T)).sum(axis=1)
    count = (each * (weights @ known.T.astype(float))).sum(axis=1)
    means = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return Effect(mean=float(means[0]), draws=means[1:])


def pooled(effects: Sequence[Effect]) -> dict[str, object]:
    """Average over workloads, each of them counting once.

    Returns:
        The mean; its interval for these very workloads, by their seeds; and for workloads like
        them, by Student's t over their means.
    """
    told = [one for one in effects if np.isfinite(one.mean)]
    if len(told) < 2:
        return {"workloads": len(told), "mean": None}
    drawn = np.array([one.draws for one in told])
    low, high = _ends(np.ma.masked_invalid(drawn).mean(axis=0).filled(np.nan))
    mean, below, above = interval([one.mean for one in told])
    return {
        "workloads": len(told),
        "mean": _rounded(mean),
        "these_workloads": {"low": low, "high": high},
        "workloads_like_them": {"low": _rounded(below), "high": _rounded(above)},
    }


def rank_correlation(measure: Floats, outcome: Floats) -> float | None:
    """Kendall's tau-b over candidates of two tables (C, S), each averaged over its seeds."""
    both = [np.nanmean(table, axis=1) for table in (measure, outcome)]
    tau = float(stats.kendalltau(*both).statistic)
    return _rounded(tau) if np.isfinite(tau) else None


def _ends(draws: Floats) -> tuple[float, float]:
    reach = (1.0 - CONFIDENCE) / 2.0
    low, high = np.nanquantile(draws, [reach, 1.0 - reach])
    return _rounded(float(low)), _rounded(float(high))


def _rounded(value: float) -> float:
    return round(value, 4)
