"""Line: both losses between the minimisers of the smallest and of the largest batch."""

from __future__ import annotations

from typing import Final

from tuner.deciding.errand import Wants
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.probes import all_ended, extremes, not_asked, pairs
from tuner.records import LineProbe

FROM_ALPHA: Final = -1.0
TO_ALPHA: Final = 2.0

BESIDE: Final = 0.1
"""How far beside an end its curvature is taken, as a share of the line between the ends."""


def finding(job: StudyJob) -> bool | None:
    """Say that every line was looked at."""
    return all_ended(job, probes(job))


def wants(job: StudyJob) -> Wants:
    """Ask for the lines that were not looked at."""
    return not_asked(job, probes(job))


def probes(job: StudyJob) -> tuple[LineProbe, ...]:
    """Make one probe for every seed on which both batches have a minimiser."""
    ends = extremes(job)
    if ends is None:
        return ()
    found = []
    for small, large in pairs(job):
        assert small.minimiser is not None  # noqa: S101  (pairs have one)
        assert large.minimiser is not None  # noqa: S101  (pairs have one)
        found.append(
            LineProbe(
                id=request_id(small.replicate),
                workload=job.workload(),
                first=small.minimiser,
                second=large.minimiser,
                alphas=alphas(job.spec.figures.line_points),
            )
        )
    return tuple(found)


def alphas(points: int) -> tuple[float, ...]:
    """Return even steps from -1 to 2, and the places where the ends' curvature is taken.

    Args:
        points: Even steps, both ends included.
    """
    width = (TO_ALPHA - FROM_ALPHA) / (points - 1)
    even = {round(FROM_ALPHA + index * width, 9) for index in range(points)}
    ends = {round(end + step, 9) for end in (0.0, 1.0) for step in (-BESIDE, 0.0, BESIDE)}
    return tuple(sorted(even | ends))


def request_id(replicate: int) -> str:
    """Name the probe of a seed."""
    return f"line-s{replicate}"
