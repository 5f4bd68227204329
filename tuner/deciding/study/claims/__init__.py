"""The claims of the literature on batch size, held against a study. One file per group.

A claim is added by writing it into the `CLAIMS` of its group.
"""

from __future__ import annotations

from typing import Final

from tuner.deciding.study.claims import (
    elsewhere,
    fixed_rate,
    flatness,
    generalisation,
    noise,
    optimum,
    scaling,
    travel,
)
from tuner.deciding.study.claims.claim import MIN_SEEDS, Claim, told, untold
from tuner.deciding.study.claims.evidence import CannotBeTold, Evidence
from tuner.study_findings import ClaimFound

__all__ = ["REGISTRY", "Evidence", "judged"]

REGISTRY: Final[tuple[Claim, ...]] = (
    *fixed_rate.CLAIMS,
    *travel.CLAIMS,
    *flatness.CLAIMS,
    *scaling.CLAIMS,
    *generalisation.CLAIMS,
    *noise.CLAIMS,
    *optimum.CLAIMS,
    *elsewhere.CLAIMS,
)
"""Every claim, in the order in which they are shown."""


def judged(evidence: Evidence) -> tuple[ClaimFound, ...]:
    """Give every claim its verdict.

    Args:
        evidence: The study.

    Returns:
        In the order of the registry; intervals are widened for the number of claims that have
        enough seeds to be tested.
    """
    effects = {claim.code: _effects(claim, evidence) for claim in REGISTRY}
    tested = sum(isinstance(found, tuple) and len(found) >= MIN_SEEDS for found in effects.values())
    times = evidence.job.findings.timing
    spread = times.spread_of("optimizer") if times is not None else 0.0
    return tuple(_verdict(claim, effects[claim.code], tested, spread) for claim in REGISTRY)


def _effects(claim: Claim, evidence: Evidence) -> tuple[float, ...] | CannotBeTold:
    try:
        return claim.effects(evidence)
    except CannotBeTold as reason:
        return reason


def _verdict(
    claim: Claim, found: tuple[float, ...] | CannotBeTold, tested: int, timing_spread: float
) -> ClaimFound:
    if isinstance(found, CannotBeTold):
        return untold(claim, str(found), tested)
    return told(claim, found, tested, timing_spread=timing_spread)
