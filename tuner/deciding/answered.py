"""Answered: a request that was answered before gets the recorded answer, with its date.

The fingerprint is over all that an answer depends on, the seed included, so the same one means
the same question. What it cannot cover is how quiet the machine was and how far the budget got;
answers that suffered from either are not given again.
"""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from tuner.deciding.job import Job
from tuner.errors import IncompatibleRecord
from tuner.recommendation import AnsweredFrom, Recommendation
from tuner.records import PastAnswer

PASSING: Final = frozenset({"timing_unsteady", "calibration_off", "not_confirmed"})
"""Warnings about the hour in which it was measured rather than about what was asked."""


def is_lasting(answer: Recommendation) -> bool:
    """Whether an answer is good enough to be given again.

    Args:
        answer: As a past job gave it.

    Returns:
        False where measuring again may do better: the budget ended before the plan did or held
        but a part of it, step times were not steady, or nothing was confirmed. Generated data
        are no shortcoming: the throughput is all that was asked for.
    """
    return answer.limited_by != "budget" and not any(
        caution.code in PASSING for caution in answer.warnings
    )


def served(job: Job, past: PastAnswer) -> Recommendation:
    """Give a past answer to the job that asks the same.

    Args:
        job: Who asks; its own JSON may be written differently.
        past: What was answered.

    Returns:
        The past answer, which says where it comes from.

    Raises:
        IncompatibleRecord: This version does not read it.
    """
    try:
        answer = Recommendation.model_validate(past.answer)
    except ValidationError as error:
        raise IncompatibleRecord(
            f"the answer of {past.job_id}: {error.error_count()} errors"
        ) from error
    source = AnsweredFrom(job_id=past.job_id, measured_at=past.measured_at)
    return answer.model_copy(update={"spec_digest": job.spec_digest, "answered_from": source})
