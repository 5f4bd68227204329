"""What scaling the learning rate in proportion to the batch repairs."""

from __future__ import annotations

import math
from typing import Final

from tuner.deciding.study import quantities
from tuner.deciding.study.arms import Trained
from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import CannotBeTold, Evidence
from tuner.deciding.study.claims.fixed_rate import TIME_EFFECT
from tuner.deciding.study.claims.flatness import SHARPNESS_EFFECT
from tuner.deciding.study.claims.travel import TRAVEL_EFFECT

HALF: Final = 0.5
"""Most of a gap is more than half of it."""

REPAIR_EFFECT: Final = 0.005
"""Half a per cent of a loss: half of what counts as a gap."""


def gap_removed(evidence: Evidence) -> tuple[float, ...]:
    """Return by how much the scaled rate removes more than half of the gap in loss, by seed.

    Returns:
        ((L_small + L_fixed) / 2 - L_scaled) / L_small. Where there is no gap it is about 0; a
        share of the gap would be a quotient of two noises.
    """
    rows = evidence.table(_three(evidence), quantities.validation_loss)
    return tuple(
        (HALF * (small + fixed) - scaled) / small for small, fixed, scaled in rows if small > 0.0
    )


def time_reversed(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(time of the scaled batch / of the smallest one), by seed."""
    return evidence.log_ratios(*evidence.scaled(), quantities.seconds)


def distance_nearer(evidence: Evidence) -> tuple[float, ...]:
    """Return by how much scaling brings ln of the ratio of distances closer to 0, by seed."""
    small, fixed, scaled = _three(evidence)
    rows = evidence.table((small, fixed, scaled), quantities.distance)
    return tuple(
        abs(math.log(far / start)) - abs(math.log(near / start))
        for start, far, near in rows
        if min(start, far, near) > 0.0
    )


def flatter_than_fixed(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(sharpness at the scaled rate / at the fixed one), by seed."""
    _, fixed, scaled = _three(evidence)
    return evidence.log_ratios(fixed, scaled, quantities.keskar)


def not_as_flat(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(sharpness of the scaled batch / of the smallest one), by seed."""
    return evidence.log_ratios(*evidence.scaled(), quantities.keskar)


def _three(evidence: Evidence) -> tuple[Trained, Trained, Trained]:
    """Return the smallest batch, and a larger one at the same and at the scaled rate."""
    small, scaled = evidence.scaled()
    fixed = evidence.at(scaled.arm.batch_size, small.arm.learning_rate)
    if fixed is None or not fixed.converged:
        raise CannotBeTold(
            "The larger batch did not converge, or did not train, at the smaller one's rate too. "
            "Ask for a grid that holds both rates."
        )
    return small, fixed, scaled


CLAIMS: Final = (
    Claim(
        code="scaling_removes_gap",
        statement="Scaling the learning rate with the batch removes most of the gap in validation "
        "loss.",
        measure="((L_small + L_fixed) / 2 - L_scaled) / L_small, of minimum validation losses",
        direction=Direction.MORE,
        smallest_effect=REPAIR_EFFECT,
        reason="Beyond it more than half of a gap that matters is gone; without a gap there is "
        "nothing to remove.",
        figure="heat-map",
        effects=gap_removed,
    ),
    Claim(
        code="scaling_reverses_time",
        statement="With the scaled learning rate the larger batch reaches its minimum sooner.",
        measure="ln(calibrated seconds to the minimum at the scaled rate / of the smallest batch)",
        direction=Direction.LESS,
        smallest_effect=TIME_EFFECT,
        reason="Below five per cent, step times of one machine differ from hour to hour.",
        figure="seconds-to-minimum",
        effects=time_reversed,
        is_timed=True,
    ),
    Claim(
        code="scaling_nears_distance",
        statement="Scaling brings the distance from the initial weights closer to the smaller "
        "batch's.",
        measure="|ln(d_fixed / d_small)| - |ln(d_scaled / d_small)|",
        direction=Direction.MORE,
        smallest_effect=TRAVEL_EFFECT,
        reason="Published distances differ by far more than five per cent.",
        figure="distance",
        effects=distance_nearer,
    ),
    Claim(
        code="scaling_flattens",
        statement="Scaling flattens the minimum of the larger batch.",
        measure="ln(Keskar's measure at the scaled rate / at the fixed one)",
        direction=Direction.LESS,
        smallest_effect=SHARPNESS_EFFECT,
        reason="A tenth is the measure's own accuracy.",
        figure="keskar",
        effects=flatter_than_fixed,
    ),
    Claim(
        code="scaling_is_not_as_flat",
        statement="Even so it is not as flat as the smaller batch's.",
        measure="ln(Keskar's measure at the scaled rate / of the smallest batch)",
        direction=Direction.MORE,
        smallest_effect=SHARPNESS_EFFECT,
        reason="A tenth is the measure's own accuracy.",
        figure="keskar",
        effects=not_as_flat,
    ),
)
