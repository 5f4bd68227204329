"""Probes: what is asked about minimisers, none of which waits for another."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.deciding.errand import Wants
from tuner.deciding.study.arms import ArmRun, Trained, best_of_batch, settled
from tuner.deciding.study.job import StudyJob
from tuner.records import Request


def all_ended(job: StudyJob, probes: Sequence[Request]) -> bool | None:
    """Say that all probes have ended, or that nothing more may be started.

    Args:
        job: Whose probes.
        probes: All that the stage asks for.

    Returns:
        True, or None while one is awaited: a stage that has found nothing goes on.
    """
    entries = [job.history.get(probe.id) for probe in probes]
    ended = all(entry is not None and entry.ended for entry in entries)
    return True if ended or job.over else None


def not_asked(job: StudyJob, probes: Sequence[Request]) -> Wants:
    """Want those probes that were not started."""
    return Wants(requests=tuple(probe for probe in probes if probe.id not in job.history))


def extremes(job: StudyJob) -> tuple[Trained, Trained] | None:
    """Return the best arms of the smallest and of the largest batch with a converged run.

    Returns:
        Both; None where fewer than two batches have one.
    """
    arms = settled(job)
    best = [best_of_batch(arms, batch) for batch in job.spec.batch_sizes]
    there = [one for one in best if one is not None]
    return (there[0], there[-1]) if len(there) > 1 else None


def pairs(job: StudyJob) -> tuple[tuple[ArmRun, ArmRun], ...]:
    """Return the runs of the smallest and of the largest batch that share a seed, by seed.

    Only runs that have a minimiser are paired.
    """
    ends = extremes(job)
    if ends is None:
        return ()
    both = [(ends[0].run(k), ends[1].run(k)) for k in range(job.spec.seeds)]
    return tuple((a, b) for a, b in both if a and b and a.minimiser and b.minimiser)
