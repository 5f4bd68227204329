"""What sets the kinds of jobs apart: where each is found, what it asks and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from service.store.tables import JobKind
from tuner.recommendation import Recommendation
from tuner.spec import StudySpec, TuningSpec
from tuner.study_findings import StudyFindings

Spec: TypeAlias = TuningSpec | StudySpec
Answer: TypeAlias = Recommendation | StudyFindings


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFacts:
    """What is said about jobs of one kind.

    Args:
        noun: What people call one.
        collection: Address under which all of them are.
        spec: What is asked.
        answer: What comes out.
        not_found: Code of the problem that there is no such one.
        topic: What messages about the end of one begin with.
    """

    noun: str
    collection: str
    spec: type[Spec]
    answer: type[Answer]
    not_found: str
    topic: str

    def address(self, job_id: str) -> str:
        """Say where one of them is."""
        return f"{self.collection}/{job_id}"


FACTS: Final[Mapping[JobKind, KindFacts]] = {
    JobKind.TUNING: KindFacts(
        noun="tuning job",
        collection="/v1/tuning-jobs",
        spec=TuningSpec,
        answer=Recommendation,
        not_found="tuning_job_not_found",
        topic="tuning_job",
    ),
    JobKind.STUDY: KindFacts(
        noun="batch-size study",
        collection="/v1/batch-size-studies",
        spec=StudySpec,
        answer=StudyFindings,
        not_found="batch_size_study_not_found",
        topic="batch_size_study",
    ),
}


def facts_of(kind: str) -> KindFacts:
    """Look up what is said about a kind of jobs.

    Args:
        kind: As stored.

    Returns:
        Its facts.
    """
    return FACTS[JobKind(kind)]
