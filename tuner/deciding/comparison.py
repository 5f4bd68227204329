"""Comparing configurations that ran on the same seeds: paired differences and their intervals.

Seed noise is 8-24 % of the time to a target, so two configurations are compared on the seeds
they share, where most of it cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev
from typing import Final

from scipy import stats

from tuner.deciding.score import Observation

CONFIDENCE: Final = 0.95

BELIEF_RUNS: Final = 3.0
"""What the search believes of a finalist counts as much as this many of its runs."""

MIN_SHARPNESS_PAIRS: Final = 3
"""Sharpness decides only with this many seeds behind the paired difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A configuration and its runs, one a seed; None where a seed has not been run.

    Args:
        global_batch_size: B.
        learning_rate: Peak rate.
        runs: One observation a replicate, in the order of the replicates.
        timed: Whether scores are ln of seconds, so that what misses cost can be added up.
        believed: The score that the search expected; None where there was none.
    """

    global_batch_size: int
    learning_rate: float
    runs: tuple[Observation | None, ...]
    timed: bool = True
    believed: float | None = None

    @property
    def done(self) -> list[Observation]:
        """Runs that have ended."""
        return [one for one in self.runs if one is not None]

    @property
    def scores(self) -> list[float | None]:
        """Score of each replicate; None where it missed, diverged or has not been run."""
        return [
            one.score if one is not None and one.kind == "complete" else None for one in self.runs
        ]

    @property
    def reached(self) -> int:
        """Runs that reached the target, or the end of their budget."""
        return sum(score is not None for score in self.scores)

    @property
    def share(self) -> float:
        """Share of the runs that ended which got there."""
        return self.reached / max(1, len(self.done))

    @property
    def expected(self) -> float:
        """Score to expect; infinite if no run got there.

        Where some runs missed, ln of (all seconds spent / number of successes): what reaching
        the target costs if one starts again after a miss.
        """
        known = [score for score in self.scores if score is not None]
        if not known:
            return math.inf
        if len(known) == len(self.done) or not self.timed:
            return fmean(known)
        spent = sum(math.exp(one.score) for one in self.done if one.score is not None)
        return math.log(spent / len(known))

    @property
    def rank(self) -> tuple[float, float]:
        """Order, best first: share of runs that got there, then the score to expect.

        What the search believed enters it: a few runs alone would choose by their luck.
        """
        return -self.share, self.weighed

    @property
    def weighed(self) -> float:
        """Score to expect from the runs and from what the search believed before them."""
        if self.believed is None:
            return self.expected
        runs = self.reached
        return (runs * self.expected + BELIEF_RUNS * self.believed) / (runs + BELIEF_RUNS)


def interval(scores: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, low and high of a 95 % t-interval of at least two scores."""
    mean = fmean(scores)
    error = stdev(scores, mean) / math.sqrt(len(scores))
    reach = _quantile(len(scores) - 1) * error
    return mean, mean - reach, mean + reach


def behind(best: Contender, other: Contender) -> float:
    """By how much `other` is expected to score worse than `best`.

    On the seeds that both have run to the end, where there are any: the luck of a seed that only
    one of them had would count as its own. Otherwise by what each is expected to take.
    """
    differences = _paired(best, other, lambda contender: contender.scores)
    missed = len(best.done) > best.reached or len(other.done) > other.reached
    if differences and not missed:
        return fmean(differences)
    return other.expected - best.expected


def separated(best: Contender, other: Contender) -> bool:
    """Whether `other` is slower than `best` beyond the paired 95 % interval.

    Fewer than three shared seeds never separate: with two, the t-quantile is 12.7.
    """
    if other.reached < len(other.done) and best.reached == len(best.done) > 1:
        return other.expected > best.expected
    differences = _paired(best, other, lambda contender: contender.scores)
    if len(differences) < 3:  # noqa: PLR2004  (see above)
        return False
    return interval(differences)[1] > 0.0


def flatter(best: Contender, other: Contender) -> bool:
    """Whether `other` ends in a flatter minimum (ASAM) by more than two standard errors."""
    differences = _paired(best, other, _asam)
    if len(differences) < MIN_SHARPNESS_PAIRS:
        return False
    error = stdev(differences) / math.sqrt(len(differences))
    return fmean(differences) < -2.0 * error


def asam_of(contender: Contender) -> float | None:
    """Mean ASAM sharpness over the runs that have one."""
    values = [value for value in _asam(contender) if value is not None]
    return fmean(values) if values else None


@cache
def _quantile(freedom: int) -> float:
    """Two-sided quantile of Student's t; SciPy takes longer for it than all the rest here."""
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, freedom))


def _asam(contender: Contender) -> list[float | None]:
    return [
        one.run.result.sharpness.asam
        if one is not None and one.run is not None and one.run.result.sharpness is not None
        else None
        for one in contender.runs
    ]


def _paired(
    best: Contender, other: Contender, values: Callable[[Contender], list[float | None]]
) -> list[float]:
    pairs = zip(values(other), values(best), strict=False)
    return [theirs - ours for theirs, ours in pairs if theirs is not None and ours is not None]
