"""Minima: how sharp every minimiser is."""

from __future__ import annotations

from tuner.deciding.errand import Wants
from tuner.deciding.study.arms import settled
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.probes import all_ended, not_asked
from tuner.records import MinimumProbe


def finding(job: StudyJob) -> bool | None:
    """Say that every minimiser was looked at."""
    return all_ended(job, probes(job))


def wants(job: StudyJob) -> Wants:
    """Ask for every minimiser that was not looked at."""
    return not_asked(job, probes(job))


def probes(job: StudyJob) -> tuple[MinimumProbe, ...]:
    """Make one probe for every minimiser, the first seed first."""
    return tuple(
        MinimumProbe(
            id=one.arm.request_id("minima", run.replicate),
            workload=job.workload(one.arm.rule),
            minimiser=run.minimiser,
        )
        for replicate in range(job.spec.seeds)
        for one in settled(job)
        if (run := one.run(replicate)) is not None and run.minimiser is not None
    )
