"""How one response leads to the next request, for programs that read the document.

Test tools follow these links from a created job to everything that can be done with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final


def _to(parameter: str, *operations: str) -> Mapping[str, Any]:
    return {
        name: {"operationId": name, "parameters": {parameter: "$response.body#/id"}}
        for name in operations
    }


_TO_THE_JOB: Final = _to(
    "job_id",
    "get_tuning_job",
    "list_trials",
    "get_recommendation",
    "cancel_tuning_job",
    "stream_events",
    "delete_tuning_job",
)
_TO_THE_STUDY: Final = _to(
    "study_id",
    "get_batch_size_study",
    "list_study_runs",
    "get_study_findings",
    "cancel_batch_size_study",
    "stream_study_events",
    "delete_batch_size_study",
)

LINKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "create_tuning_job": _TO_THE_JOB,
    "get_tuning_job": _TO_THE_JOB,
    "cancel_tuning_job": _TO_THE_JOB,
    "create_batch_size_study": _TO_THE_STUDY,
    "get_batch_size_study": _TO_THE_STUDY,
    "cancel_batch_size_study": _TO_THE_STUDY,
}
"""By the operation whose success they belong to; names are those of operations."""
