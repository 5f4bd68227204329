"""Gradients against the batch: their mean, their variance, and what an epoch of them costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from tuner.deciding.study import quantities
from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import CannotBeTold, Evidence
from tuner.deciding.study.gradients import request_id
from tuner.deciding.study.statistics import log_slope
from tuner.records import GradientScatters

EXPONENT_EFFECT: Final = 0.1
"""A tenth of the exponent: over a factor of 32 in the batch, a factor of 1.4 in variance."""

MEAN_EFFECT: Final = 0.1
"""A tenth of the length of the mean gradient."""

SHORTER_EFFECT: Final = 0.05
"""Five per cent of the length of a gradient."""

RETURNS_EFFECT: Final = 0.02
"""Two per cent of an epoch's time for every doubling of the batch."""


def scatters(evidence: Evidence, place: str) -> tuple[GradientScatters, ...]:
    """Return what the probes at `initial` or `minimum` weights found, by seed."""
    ids = (request_id(place, replicate) for replicate in range(evidence.job.spec.seeds))
    entries = (evidence.job.history.get(name) for name in ids)
    found = tuple(
        entry.result
        for entry in entries
        if entry is not None and isinstance(entry.result, GradientScatters)
    )
    if not found:
        raise CannotBeTold("No gradients were looked at.")
    return found


def exponent(found: GradientScatters, num_train: int) -> float | None:
    """Fit variance ~ B ** exponent, as if the data had no end.

    Batches hold no sample twice, so that the variance of their means is smaller by the factor
    (N - B) / (N - 1) (Cochran 1977, Sampling Techniques, theorem 2.2); it is divided out.

    Args:
        found: Scatters of several batch sizes.
        num_train: Samples N that they were drawn from.
    """
    some = [one for one in found.scatters if one.global_batch_size < num_train]
    return log_slope(
        [one.global_batch_size for one in some],
        [one.variance * (num_train - 1) / (num_train - one.global_batch_size) for one in some],
    )


def exponent_error(evidence: Evidence) -> tuple[float, ...]:
    """Return the fitted exponent plus one, by seed."""
    num_train = evidence.job.subject.facts.num_train
    fitted = [exponent(found, num_train) for found in scatters(evidence, "initial")]
    return tuple(value + 1.0 for value in fitted if value is not None)


def mean_error(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(length of the mean gradient of a batch / of all samples), by seed.

    E|g_B|^2 = |G|^2 + variance, so the mean gradient's part is what is left of the square when
    the variance is taken off. That is well determined where the variance is small: at the
    largest batch that was drawn.
    """
    found = []
    for one in scatters(evidence, "initial"):
        if not one.scatters:
            continue
        last = one.scatters[-1]
        square = last.mean_norm**2 - last.variance
        if square > 0.0 and one.full_norm > 0.0:
            found.append(0.5 * math.log(square / one.full_norm**2))
    return tuple(found)


def shorter_means(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(length of the largest batch's gradients / of the smallest one's), by seed."""
    return tuple(
        math.log(one.scatters[-1].mean_norm / one.scatters[0].mean_norm)
        for one in scatters(evidence, "initial")
        if one.scatters and min(one.scatters[-1].mean_norm, one.scatters[0].mean_norm) > 0.0
    )


def diminishing(evidence: Evidence) -> tuple[float, ...]:
    """Return what a doubling saves of an epoch's time at first, less what it saves at last."""
    arms = tuple(evidence.best(batch) for batch in evidence.batches)
    if len(arms) < 3:  # noqa: PLR2004  (two halves need a middle)
        raise CannotBeTold("Diminishing returns need three batch sizes. Ask for more.")
    middle = len(arms) // 2
    first, half, last = (arms[index] for index in (0, middle, -1))
    saved = _saving(first.arm.batch_size, half.arm.batch_size)
    later = _saving(half.arm.batch_size, last.arm.batch_size)
    rows = evidence.table((first, half, last), quantities.epoch_seconds)
    return tuple(saved(a, b) - later(b, c) for a, b, c in rows if min(a, b, c) > 0.0)


def _saving(small: int, large: int) -> Callable[[float, float], float]:
    doublings = math.log2(large / small)
    return lambda before, after: math.log(before / after) / doublings


CLAIMS: Final = (
    Claim(
        code="variance_falls_as_inverse",
        statement="The variance of the gradient falls in inverse proportion to the batch.",
        measure="fitted exponent of the variance against the batch, plus one, at the initial "
        "weights",
        direction=Direction.SAME,
        smallest_effect=EXPONENT_EFFECT,
        reason="Over a factor of 32 in the batch a tenth is a factor of 1.4 in variance.",
        figure="gradient-variance",
        effects=exponent_error,
    ),
    Claim(
        code="mean_gradient_unchanged",
        statement="The expected gradient does not depend on the batch.",
        measure="ln(length of the mean gradient, of the largest batch that was drawn / of all "
        "samples), at the initial weights",
        direction=Direction.SAME,
        smallest_effect=MEAN_EFFECT,
        reason="A tenth of its length is what so few draws can tell.",
        figure="gradient-variance",
        effects=mean_error,
    ),
    Claim(
        code="shorter_gradients",
        statement="Gradients of a larger batch are shorter: those of its samples point in "
        "different directions.",
        measure="ln(mean length of the gradient of the largest batch that was drawn / of the "
        "smallest one), at the initial weights",
        direction=Direction.LESS,
        smallest_effect=SHORTER_EFFECT,
        reason="Five per cent of a length is what so few draws can tell.",
        figure="gradient-variance",
        effects=shorter_means,
    ),
    Claim(
        code="diminishing_returns",
        statement="The larger the batch already is, the less time a doubling of it saves.",
        measure="ln of an epoch's time saved by a doubling in the smaller half of the batches, "
        "less the same in the larger half",
        direction=Direction.MORE,
        smallest_effect=RETURNS_EFFECT,
        reason="Two per cent a doubling is a tenth over a factor of 32.",
        figure="seconds-per-epoch",
        effects=diminishing,
    ),
)
