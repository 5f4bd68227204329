"""What the batch does to the difference between training and validation data."""

from __future__ import annotations

from typing import Final

from tuner.deciding.study import quantities
from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import CannotBeTold, Evidence

GAP_EFFECT: Final = 0.05
"""Five per cent of the validation loss; a gap is a difference of two losses."""

ACCURACY_EFFECT: Final = 0.01
"""One point of accuracy."""

PUBLISHED_LOSS: Final = 0.05
"""Five points of accuracy: the most that the literature saw lost."""


def wider_gap(evidence: Evidence) -> tuple[float, ...]:
    """Return the growth of the gap as a share of the smallest batch's validation loss, by seed."""
    ends = evidence.ends()
    gaps = evidence.table(ends, quantities.generalisation_gap)
    losses = evidence.table(ends, quantities.validation_loss)
    return tuple(
        (gap[1] - gap[0]) / loss[0] for gap, loss in zip(gaps, losses, strict=True) if loss[0] > 0.0
    )


def accuracy_lost(evidence: Evidence) -> tuple[float, ...]:
    """Return the accuracy of the smallest batch less that of the largest one, by seed."""
    rows = evidence.table(evidence.ends(), quantities.accuracy)
    if not rows:
        raise CannotBeTold("There is no accuracy: the task is not a classification.")
    return tuple(small - large for small, large in rows)


CLAIMS: Final = (
    Claim(
        code="wider_generalisation_gap",
        statement="At the same learning rate, the generalisation gap grows with the batch.",
        measure="(gap of the largest batch - gap of the smallest one) / validation loss of the "
        "smallest one, gap being validation less training loss at the minimum",
        direction=Direction.MORE,
        smallest_effect=GAP_EFFECT,
        reason="A gap is a difference of two losses, and scatters as both do.",
        figure="generalisation-gap",
        effects=wider_gap,
    ),
    Claim(
        code="accuracy_lost",
        statement="At the same learning rate, the larger batch ends at a lower accuracy.",
        measure="accuracy of the smallest batch less that of the largest one, a share",
        direction=Direction.MORE,
        smallest_effect=ACCURACY_EFFECT,
        reason="One point is a fifth of the most that was published.",
        figure="minimum-loss",
        effects=accuracy_lost,
    ),
    Claim(
        code="at_most_five_points_lost",
        statement="What accuracy the larger batch loses is five points at most.",
        measure="accuracy of the smallest batch less that of the largest one, a share",
        direction=Direction.AT_MOST,
        smallest_effect=PUBLISHED_LOSS,
        reason="Five points are the most that was published.",
        figure="minimum-loss",
        effects=accuracy_lost,
    ),
)
