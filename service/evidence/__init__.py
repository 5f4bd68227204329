"""Everything stored about one job, gathered into one frozen record."""

from service.evidence.gather import study_evidence, tuning_evidence
from service.evidence.study import StudyEvidence
from service.evidence.tuning import (
    AttemptEvidence,
    EventEvidence,
    MemoryEvidence,
    RunEvidence,
    TuningEvidence,
)

__all__ = [
    "AttemptEvidence",
    "EventEvidence",
    "MemoryEvidence",
    "RunEvidence",
    "StudyEvidence",
    "TuningEvidence",
    "study_evidence",
    "tuning_evidence",
]
