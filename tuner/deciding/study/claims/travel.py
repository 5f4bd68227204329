"""How far the weights travel: in all, layer by layer, in an epoch, in a step."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tuner.deciding.study import quantities
from tuner.deciding.study.arms import ArmRun
from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import Evidence, between_ends

TRAVEL_EFFECT: Final = 0.05
"""Five per cent of a distance."""

LAYER_QUANTILE: Final = 0.9
"""Nine layers of ten: published exceptions are single ones."""


def farthest_layers(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(largest batch / smallest one) of the distances of single layers, by seed.

    Of the layers' ratios it is the 0.9 quantile: nine layers of ten are at most as far.
    """
    small, large = evidence.ends()
    found = []
    for replicate in range(evidence.job.spec.seeds):
        ratios = _layer_ratios(small.run(replicate), large.run(replicate))
        found += [float(np.quantile(ratios, LAYER_QUANTILE))] if ratios else []
    return tuple(found)


def _layer_ratios(small: ArmRun | None, large: ArmRun | None) -> list[float]:
    if small is None or large is None or small.result is None or large.result is None:
        return []
    if small.state != "converged" or large.state != "converged":
        return []
    pairs = zip(small.result.layers, large.result.layers, strict=True)
    return [
        math.log(theirs.distance / ours.distance)
        for ours, theirs in pairs
        if ours.distance > 0.0 and theirs.distance > 0.0
    ]


CLAIMS: Final = (
    Claim(
        code="closer_to_start",
        statement="At the same learning rate, the larger batch ends closer to the initial weights.",
        measure="ln(distance at the minimum of the largest batch / of the smallest one)",
        direction=Direction.LESS,
        smallest_effect=TRAVEL_EFFECT,
        reason="Published distances differ by far more than five per cent.",
        figure="distance",
        effects=between_ends(quantities.distance),
    ),
    Claim(
        code="closer_in_all_layers",
        statement="It does so in all layers alike.",
        measure="ln(distance of a parameter tensor from its initial values, of the largest batch / "
        "of the smallest one), at the minimum; the 0.9 quantile over the tensors",
        direction=Direction.LESS,
        smallest_effect=TRAVEL_EFFECT,
        reason="Nine of ten leave room for single exceptions.",
        figure="layers",
        effects=farthest_layers,
    ),
    Claim(
        code="less_distance_per_epoch",
        statement="At the same learning rate, the larger batch moves less in an epoch.",
        measure="ln(mean distance per epoch of the largest batch / of the smallest one), up to "
        "their minima",
        direction=Direction.LESS,
        smallest_effect=TRAVEL_EFFECT,
        reason="Published distances per epoch differ by a factor of seven.",
        figure="distance-per-epoch",
        effects=between_ends(quantities.distance_per_epoch),
    ),
    Claim(
        code="smaller_updates",
        statement="At the same learning rate, single updates of the larger batch are shorter.",
        measure="ln(median norm of an update of the largest batch / of the smallest one), up to "
        "their minima",
        direction=Direction.LESS,
        smallest_effect=TRAVEL_EFFECT,
        reason="Published norms differ by a factor of two.",
        figure="update-norm",
        effects=between_ends(quantities.update_norm),
    ),
)
