"""How far the weights travel: in all, layer by layer, in an epoch, in a step."""

from __future__ import annotations

from typing import Final

from tuner.deciding.study import quantities
from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import Evidence, between_ends

TRAVEL_EFFECT: Final = 0.05
"""Five per cent of a distance."""

LAYER_SHARE: Final = 0.9
"""Nine layers of ten: published exceptions are single ones."""


def closer_layers(evidence: Evidence) -> tuple[float, ...]:
    """Return the share of the layers that stay closer with the largest batch, by seed."""
    small, large = evidence.ends()
    found = []
    for replicate in range(evidence.job.spec.seeds):
        a, b = small.run(replicate), large.run(replicate)
        if a is None or b is None or a.result is None or b.result is None:
            continue
        if a.state != "converged" or b.state != "converged":
            continue
        pairs = list(zip(a.result.layers, b.result.layers, strict=True))
        moved = [(one.distance, two.distance) for one, two in pairs if one.distance or two.distance]
        if moved:
            found.append(sum(far > near for far, near in moved) / len(moved))
    return tuple(found)


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
        measure="share of the parameter tensors that are closer to their initial values at the "
        "largest batch's minimum than at the smallest one's",
        direction=Direction.MORE,
        smallest_effect=LAYER_SHARE,
        reason="Nine of ten leave room for single exceptions.",
        figure="layers",
        effects=closer_layers,
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
