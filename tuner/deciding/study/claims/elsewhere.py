"""Claims that one device, or one way of cutting a batch, cannot test.

They are listed, so that nobody takes what is not mentioned for what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import CannotBeTold, Evidence
from tuner.deciding.study.claims.fixed_rate import LOSS_EFFECT, TIME_EFFECT


def untestable(why: str) -> Callable[[Evidence], tuple[float, ...]]:
    """Make the effects of a claim that no study on one device has."""

    def effects(_evidence: Evidence) -> tuple[float, ...]:
        raise CannotBeTold(why)

    return effects


ONE_DEVICE: Final = "A study runs on one device; data parallelism needs several."

CLAIMS: Final = (
    Claim(
        code="parallel_epochs",
        statement="Data parallelism makes epochs of small batches slightly slower and epochs of "
        "large ones much faster.",
        measure="ln(seconds per epoch on several devices / on one)",
        direction=Direction.LESS,
        smallest_effect=TIME_EFFECT,
        reason="Below five per cent, step times of one machine differ from hour to hour.",
        figure="seconds-per-epoch",
        effects=untestable(ONE_DEVICE),
    ),
    Claim(
        code="parallel_does_not_rescue",
        statement="At the same learning rate, data parallelism does not rescue the large batch in "
        "total time.",
        measure="ln(seconds of the largest batch on several devices / of the smallest one on one)",
        direction=Direction.MORE,
        smallest_effect=TIME_EFFECT,
        reason="Below five per cent, step times of one machine differ from hour to hour.",
        figure="seconds-to-minimum",
        effects=untestable(ONE_DEVICE),
    ),
    Claim(
        code="accumulation_equals_batch",
        statement="Accumulated gradients train as the batch does that they add up to.",
        measure="ln(minimum validation loss accumulated / in one pass)",
        direction=Direction.SAME,
        smallest_effect=LOSS_EFFECT,
        reason="One per cent of a loss is about what the choice of a seed changes.",
        figure="minimum-loss",
        effects=untestable(
            "A study runs every batch in one way: in one pass where it fits, accumulated where it "
            "does not."
        ),
    ),
)
