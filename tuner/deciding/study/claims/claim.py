"""A claim, and how a verdict about it comes about.

A claim is about one number a seed, its *effect*: mostly ln of what the largest batch shows over
what the smallest one shows from the same initial weights. Its mean over the seeds has Student's
t interval at 1 - 0.05 / m, m being the number of claims of the study that can be tested
(Bonferroni): the chance that any of them gets a wrong verdict is 0.05 at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from tuner.deciding.study.claims.evidence import Evidence
from tuner.deciding.study.statistics import interval, share_interval
from tuner.study_findings import ClaimFound

ERROR: Final = 0.05
"""Chance of any wrong verdict in a study."""

MIN_SEEDS: Final = 5
"""Seeds below which an interval is too wide, and too trusting of its few values, to judge by."""

Verdict = Literal["holds", "does_not_hold", "cannot_be_told"]


class Direction(StrEnum):
    """What a claim says of its effect, given the smallest effect d that matters."""

    MORE = "more"
    """It is above d."""
    LESS = "less"
    """It is below -d."""
    SAME = "same"
    """It is between -d and d."""
    AT_MOST = "at_most"
    """It is below d."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim of the literature.

    Args:
        code: Stable name.
        statement: The claim in plain words.
        measure: What the effect is, with its unit.
        direction: What is claimed of it.
        smallest_effect: The smallest effect that matters, in the same unit.
        reason: Why that one, for people.
        figure: Name of the figure that shows it.
        effects: One effect a seed; raises `CannotBeTold` where the study has none.
        is_share: Whether effects are yes (1) and no (0), whose mean is a share.
        is_timed: Whether the effect is ln of a ratio of calibrated seconds. All seeds share the
            step times, so that the scatter of seeds says nothing of their error.
        bounds: Least and largest value that the effect can have; its interval ends there.
    """

    code: str
    statement: str
    measure: str
    direction: Direction
    smallest_effect: float
    reason: str
    figure: str
    effects: Callable[[Evidence], tuple[float, ...]]
    is_share: bool = False
    is_timed: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)


def judge(low: float, high: float, direction: Direction, smallest: float) -> Verdict:
    """Compare an interval with what is claimed.

    Args:
        low: Lower end.
        high: Upper end.
        direction: What is claimed.
        smallest: The smallest effect that matters.

    Returns:
        `holds` where all of the interval is as claimed, `does_not_hold` where nothing of it is.
    """
    match direction:
        case Direction.MORE:
            inside, outside = low > smallest, high < smallest
        case Direction.LESS:
            inside, outside = high < -smallest, low > -smallest
        case Direction.AT_MOST:
            inside, outside = high < smallest, low > smallest
        case Direction.SAME:
            inside = -smallest < low and high < smallest
            outside = high < -smallest or low > smallest
    if inside:
        return "holds"
    return "does_not_hold" if outside else "cannot_be_told"


def told(
    claim: Claim, effects: tuple[float, ...], tested: int, *, timing_spread: float = 0.0
) -> ClaimFound:
    """Judge a claim by its effects.

    Args:
        claim: What is claimed.
        effects: One a seed.
        tested: Number of claims of this study that can be tested, this one included if it can.
        timing_spread: Relative half-range of the step times between their windows. Both sides of
            a ratio of times may be off by it, in opposite directions.
    """
    confidence = 1.0 - ERROR / max(1, tested)
    if len(effects) < 2:  # noqa: PLR2004  (no interval from one)
        effect = effects[0] if effects else None
        return _found(claim, "cannot_be_told", (effect, None, None), confidence, len(effects))
    mean, low, high = (share_interval if claim.is_share else interval)(effects, confidence)
    reach = 2.0 * math.log1p(timing_spread) if claim.is_timed else 0.0
    low, high = max(low - reach, claim.bounds[0]), min(high + reach, claim.bounds[1])
    verdict = judge(low, high, claim.direction, claim.smallest_effect)
    if len(effects) < MIN_SEEDS:
        verdict = "cannot_be_told"
    return _found(claim, verdict, (mean, low, high), confidence, len(effects))


def untold(claim: Claim, why: str, tested: int) -> ClaimFound:
    """Say why a claim cannot be tested here."""
    found = _found(
        claim, "cannot_be_told", (None, None, None), 1.0 - ERROR / max(1, tested), seeds=0
    )
    return found.model_copy(update={"why": why})


def _found(
    claim: Claim,
    verdict: Verdict,
    effect: tuple[float | None, float | None, float | None],
    confidence: float,
    seeds: int,
) -> ClaimFound:
    mean, low, high = effect
    return ClaimFound(
        code=claim.code,
        statement=claim.statement,
        verdict=verdict,
        measure=claim.measure,
        effect=mean,
        low=low,
        high=high,
        confidence=confidence,
        smallest_effect=claim.smallest_effect,
        seeds=seeds,
        figure=claim.figure,
        why=_why(claim, verdict, seeds),
    )


SAID: Final = {
    Direction.MORE: "above {0:g}",
    Direction.LESS: "below -{0:g}",
    Direction.SAME: "between -{0:g} and {0:g}",
    Direction.AT_MOST: "below {0:g}",
}


def _why(claim: Claim, verdict: Verdict, seeds: int) -> str:
    """Say in words what the verdict rests on, and what would help where there is none."""
    if seeds < MIN_SEEDS:
        return (
            f"{seeds} of the seeds tell it, and a verdict needs {MIN_SEEDS}. Raise seeds, or "
            "max_epochs and the budget where runs did not converge."
        )
    said = f"The claim is that the effect is {SAID[claim.direction].format(claim.smallest_effect)}"
    where = {
        "holds": "all of the interval is there",
        "does_not_hold": "none of the interval is there",
        "cannot_be_told": "the interval is partly there; more seeds narrow it",
    }[verdict]
    return f"{said}, and {where}. {claim.reason}"
