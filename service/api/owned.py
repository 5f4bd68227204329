"""The one way from an id to a job: through the eyes of who asks."""

from __future__ import annotations

from service.api.dependencies import Parts
from service.api.security import Caller
from service.problems import ProblemError
from service.store.tables import Job


def find_job(job_id: str, parts: Parts, caller: Caller) -> Job:
    """Read a job that the caller may see.

    Args:
        job_id: Which job.
        parts: Where it is stored.
        caller: Who asks.

    Returns:
        The job.

    Raises:
        ProblemError: `tuning_job_not_found`; there is none, or it is somebody else's, which is
            not told apart.
    """
    job = parts.jobs.get(job_id, owner=caller.owner)
    if job is None:
        raise no_such_job(job_id)
    return job


def no_such_job(job_id: str) -> ProblemError:
    """Say that there is no such job for who asks."""
    return ProblemError("tuning_job_not_found", f"There is no tuning job {job_id}.")
