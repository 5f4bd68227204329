"""What the larger batch does to training at one learning rate: loss, epochs, time."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final

from tuner.deciding.study import quantities
from tuner.deciding.study.arms import ArmRun
from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import Evidence, between_ends
from tuner.records import EpochPoint

LOSS_EFFECT: Final = 0.01
"""One per cent of a validation loss: half of what the seeds of one configuration scatter by."""

TRAINING_EFFECT: Final = 0.05
"""Five per cent of a training loss, which falls by orders of magnitude in one run."""

TIME_EFFECT: Final = 0.05
"""Five per cent of a time: what a warning about the calibration begins at."""

EPOCHS_EFFECT: Final = 0.1
"""A tenth of the epochs; a minimum is flat, and its place scatters more than its depth."""


def same_epoch(evidence: Evidence) -> tuple[float, ...]:
    """Compare training losses at the epoch of the small batch's minimum.

    Where the large batch's run had ended before, at its last epoch.
    """
    small, large = evidence.ends()
    found = []
    for replicate in range(evidence.job.spec.seeds):
        a, b = small.run(replicate), large.run(replicate)
        at = None
        if a is not None and a.minimum is not None and b is not None and b.result is not None:
            at = min(a.minimum.epoch, b.result.points[-1].epoch)
        found.append(_log_ratio(a, b, at, by_steps=False))
    return tuple(effect for effect in found if effect is not None)


def first_epoch(evidence: Evidence) -> tuple[float, ...]:
    """Compare training losses after the first epoch."""
    small, large = evidence.ends()
    found = [
        _log_ratio(small.run(k), large.run(k), 1.0, by_steps=False)
        for k in range(evidence.job.spec.seeds)
    ]
    return tuple(effect for effect in found if effect is not None)


def same_step(evidence: Evidence) -> tuple[float, ...]:
    """Compare training losses after the steps that the small batch takes in one epoch."""
    small, large = evidence.ends()
    steps = evidence.job.subject.facts.num_train / small.arm.batch_size
    found = [
        _log_ratio(small.run(k), large.run(k), steps, by_steps=True)
        for k in range(evidence.job.spec.seeds)
    ]
    return tuple(effect for effect in found if effect is not None)


def train_loss_at(points: tuple[EpochPoint, ...], place: float, *, by_steps: bool) -> float | None:
    """Interpolate the training loss between two points; None beyond the last one."""
    places = [point.step if by_steps else point.epoch for point in points]
    index = bisect_left(places, place - 1e-9)
    if index == len(points):
        return None
    if index == 0 or math.isclose(places[index], place):
        return points[index].train_loss
    before, after = points[index - 1], points[index]
    share = (place - places[index - 1]) / (places[index] - places[index - 1])
    return before.train_loss + share * (after.train_loss - before.train_loss)


def _log_ratio(
    small: ArmRun | None, large: ArmRun | None, place: float | None, *, by_steps: bool
) -> float | None:
    if small is None or large is None or small.result is None or large.result is None:
        return None
    if place is None or "converged" not in {small.state} & {large.state}:
        return None
    a = train_loss_at(small.result.points, place, by_steps=by_steps)
    b = train_loss_at(large.result.points, place, by_steps=by_steps)
    return math.log(b / a) if a and b and 0.0 < a < math.inf and 0.0 < b < math.inf else None


CLAIMS: Final = (
    Claim(
        code="slower_training_per_epoch",
        statement="At the same learning rate, the training loss of the larger batch falls more "
        "slowly per epoch.",
        measure="ln(training loss of the largest batch / of the smallest one) at the epoch of the "
        "smallest one's minimum, or where the other's run ended before",
        direction=Direction.MORE,
        smallest_effect=TRAINING_EFFECT,
        reason="Five per cent is small beside what a training loss falls by in one run.",
        figure="curves-epochs",
        effects=same_epoch,
    ),
    Claim(
        code="higher_minimum_loss",
        statement="At the same learning rate, the larger batch ends at a higher validation loss.",
        measure="ln(minimum validation loss of the largest batch / of the smallest one)",
        direction=Direction.MORE,
        smallest_effect=LOSS_EFFECT,
        reason="One per cent of a loss is about what the choice of a seed changes.",
        figure="minimum-loss",
        effects=between_ends(quantities.validation_loss),
    ),
    Claim(
        code="shorter_epoch",
        statement="An epoch of the larger batch takes less time.",
        measure="ln(seconds per epoch of the largest batch / of the smallest one), as the runs "
        "took them",
        direction=Direction.LESS,
        smallest_effect=TIME_EFFECT,
        reason="Below five per cent, step times of one machine differ from hour to hour.",
        figure="seconds-per-epoch",
        effects=between_ends(quantities.epoch_seconds),
    ),
    Claim(
        code="more_epochs",
        statement="At the same learning rate, the larger batch needs more epochs to its minimum.",
        measure="ln(epochs to the minimum of the largest batch / of the smallest one)",
        direction=Direction.MORE,
        smallest_effect=EPOCHS_EFFECT,
        reason="A minimum is flat: its place is not known to better than a tenth.",
        figure="epochs-to-minimum",
        effects=between_ends(quantities.epochs),
    ),
    Claim(
        code="further_per_step",
        statement="Step for step, the larger batch descends further.",
        measure="ln(training loss of the largest batch / of the smallest one) after the steps "
        "that the smallest one takes in an epoch",
        direction=Direction.LESS,
        smallest_effect=TRAINING_EFFECT,
        reason="Five per cent is small beside what a training loss falls by in one run.",
        figure="curves-steps",
        effects=same_step,
    ),
    Claim(
        code="further_per_epoch",
        statement="Epoch for epoch, the smaller batch descends further.",
        measure="ln(training loss of the largest batch / of the smallest one) after one epoch",
        direction=Direction.MORE,
        smallest_effect=TRAINING_EFFECT,
        reason="Five per cent is small beside what a training loss falls by in one run.",
        figure="curves-epochs",
        effects=first_epoch,
    ),
)
