"""Landscape: the training loss round the minimisers of the smallest and the largest batch."""

from __future__ import annotations

from tuner.deciding.errand import Wants
from tuner.deciding.study.arms import ArmRun, Trained
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.probes import all_ended, extremes, not_asked, pairs
from tuner.records import LandscapeProbe


def finding(job: StudyJob) -> bool | None:
    """Say that every landscape was taken."""
    return all_ended(job, probes(job))


def wants(job: StudyJob) -> Wants:
    """Ask for the landscapes that were not taken."""
    return not_asked(job, probes(job))


def probes(job: StudyJob) -> tuple[LandscapeProbe, ...]:
    """Make a probe in one and in two dimensions for both ends, on one seed."""
    return tuple(
        LandscapeProbe(
            id=request_id(one, run, dimensions),
            workload=job.workload(),
            minimiser=run.minimiser,
            seed=job.training_seed("landscape", 0),
            dimensions=dimensions,
            points=job.spec.figures.landscape_points,
            radius=job.spec.figures.landscape_radius,
        )
        for one, run in shown(job)
        for dimensions in (1, 2)
        if run.minimiser is not None
    )


def shown(job: StudyJob) -> tuple[tuple[Trained, ArmRun], ...]:
    """Return the arms and runs that are shown: both ends on the first seed that both have."""
    ends, both = extremes(job), pairs(job)
    if ends is None or not both or not job.spec.figures.landscape_points:
        return ()
    return tuple(zip(ends, both[0], strict=True))


def request_id(one: Trained, run: ArmRun, dimensions: int) -> str:
    """Name the probe of a run in so many dimensions."""
    return f"landscape-{dimensions}d-{one.arm.name}-s{run.replicate}"
