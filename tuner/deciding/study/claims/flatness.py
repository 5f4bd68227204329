"""Whether small batches end in flatter minima, by every measure there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tuner.deciding.study import quantities
from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import CannotBeTold, Evidence, between_ends
from tuner.deciding.study.line import BESIDE, request_id
from tuner.deciding.study.probes import pairs
from tuner.deciding.study.statistics import rank_correlation
from tuner.records import LinePoint, LineProfile

SHARPNESS_EFFECT: Final = 0.1
"""A tenth of a sharpness: random starts and fixed sets of samples change it by half of that."""

CURVATURE_EFFECT: Final = 0.1
"""A tenth, of the most that two curvatures can differ by."""

RANK_EFFECT: Final = 0.5
"""A rank correlation of a half: the two then share a quarter of their variance."""

MIN_ARMS: Final = 3
"""Minimisers of one seed whose ranks are compared, at least."""


def line_curvature(evidence: Evidence) -> tuple[float, ...]:
    """Compare the curvature of the training loss at both ends of the line, by seed.

    Returns:
        (c1 - c0) / (|c1| + |c0|), c0 at the smallest batch's minimiser and c1 at the largest's.
    """
    evidence.ends()
    found = []
    for small, _ in pairs(evidence.job):
        entry = evidence.job.history.get(request_id(small.replicate))
        line = entry.result if entry is not None else None
        if isinstance(line, LineProfile):
            ends = curvature(line.points, 0.0), curvature(line.points, 1.0)
            if ends[0] is not None and ends[1] is not None and any(ends):
                found.append((ends[1] - ends[0]) / (abs(ends[1]) + abs(ends[0])))
    if not found:
        raise CannotBeTold("There is no line between two minimisers.")
    return tuple(found)


def curvature(points: Sequence[LinePoint], end: float) -> float | None:
    """Return the second difference of the training loss round an end of the line.

    Args:
        points: Of the line.
        end: Its alpha.

    Returns:
        Loss per alpha squared; None where one of the three losses is missing.
    """
    losses = {round(point.alpha, 9): point.train_loss for point in points}
    low, middle, high = (losses.get(round(end + step, 9)) for step in (-BESIDE, 0.0, BESIDE))
    if low is None or middle is None or high is None:
        return None
    return (low - 2.0 * middle + high) / BESIDE**2


def eigenvalue_ranks(evidence: Evidence) -> tuple[float, ...]:
    """Correlate Keskar's measure with the top eigenvalue over the minimisers of a seed."""
    found = []
    for replicate in range(evidence.job.spec.seeds):
        both = [
            (
                evidence.value(one, one.run(replicate), quantities.keskar),
                evidence.value(one, one.run(replicate), quantities.top_eigenvalue),
            )
            for one in evidence.arms
        ]
        known = [(phi, top) for phi, top in both if phi is not None and top is not None]
        if len(known) >= MIN_ARMS:
            rank = rank_correlation([phi for phi, _ in known], [top for _, top in known])
            found += [rank] if rank is not None else []
    if not found:
        raise CannotBeTold(
            f"No seed has {MIN_ARMS} minimisers with both measures. Ask for more batch sizes."
        )
    return tuple(found)


def _ratio(code: str, named: str, figure: str, quantity: quantities.Quantity) -> Claim:
    return Claim(
        code=code,
        statement=f"At the same learning rate, the smaller batch ends in a flatter minimum, "
        f"by {named}.",
        measure=f"ln({named} of the largest batch / of the smallest one)",
        direction=Direction.MORE,
        smallest_effect=SHARPNESS_EFFECT,
        reason="Published sharpness differs by a factor of several; a tenth is the measure's own "
        "accuracy.",
        figure=figure,
        effects=between_ends(quantity),
    )


CLAIMS: Final = (
    _ratio(
        "flatter_by_keskar",
        "Keskar's measure over the whole space",
        "keskar",
        quantities.keskar,
    ),
    _ratio(
        "flatter_by_manifold",
        "Keskar's measure over a random manifold",
        "keskar-manifold",
        quantities.keskar_manifold,
    ),
    _ratio(
        "flatter_by_eigenvalue",
        "the top eigenvalue of the Hessian",
        "hessian-top-eigenvalue",
        quantities.top_eigenvalue,
    ),
    Claim(
        code="flatter_along_line",
        statement="On the line between the two minimisers, the loss is flatter at the smaller "
        "batch's end.",
        measure="(c1 - c0) / (|c1| + |c0|), curvatures of the training loss at the largest (1) and "
        "the smallest batch's end (0)",
        direction=Direction.MORE,
        smallest_effect=CURVATURE_EFFECT,
        reason="A tenth of the most that they can differ by is a factor of 1.2.",
        figure="line",
        effects=line_curvature,
        bounds=(-1.0, 1.0),
    ),
    Claim(
        code="sharp_means_large_eigenvalues",
        statement="Sharp minima go with large positive eigenvalues of the Hessian.",
        measure="rank correlation of Keskar's measure with the top eigenvalue over the minimisers "
        "of a seed",
        direction=Direction.MORE,
        smallest_effect=RANK_EFFECT,
        reason="At a half they share a quarter of their variance.",
        figure="hessian-top-eigenvalue",
        effects=eigenvalue_ranks,
        bounds=(-1.0, 1.0),
    ),
)
