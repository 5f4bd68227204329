"""An answer as it is stored: plain JSON that this version reads back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.kinds import Answer
from service.study_summary import bounded, summarise
from tuner.recommendation import Part
from tuner.study_findings import StudyFindings


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is stored of one answer.

    Args:
        answer: Shown with the job; of a study its summary.
        findings: All that a study found; None for a tuning.
    """

    answer: Mapping[str, Any]
    findings: Mapping[str, Any] | None = None


def kept(answer: Answer) -> Kept:
    """Write an answer down.

    Args:
        answer: As the machine gave it.

    Returns:
        It as JSON.

    Raises:
        ValidationError: It cannot be read back: better a failed job than one nobody can see.
    """
    if not isinstance(answer, StudyFindings):
        return Kept(answer=_written(answer))
    findings = bounded(answer)
    return Kept(answer=_written(summarise(findings)), findings=_written(findings))


def _written(answer: Part) -> Mapping[str, Any]:
    values: Mapping[str, Any] = plain(answer.model_dump(mode="json"))
    type(answer).model_validate(values)
    return values


def plain(value: Any) -> Any:
    """Make values JSON: a number that JSON cannot hold is one that was not measured."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
