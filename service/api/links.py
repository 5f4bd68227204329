"""How one response leads to the next request, for programs that read the document.

Test tools follow these links from a created job to everything that can be done with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_OF_A_JOB: Final = (
    "get_tuning_job",
    "list_trials",
    "get_recommendation",
    "cancel_tuning_job",
    "delete_tuning_job",
)


def _links(job_id: str, *operations: str) -> dict[str, dict[str, Any]]:
    return {
        name: {"operationId": name, "parameters": {"job_id": f"$response.body#/{job_id}"}}
        for name in operations
    }


LINKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "create_tuning_job": _links("id", *_OF_A_JOB),
    "get_tuning_job": _links("id", *_OF_A_JOB),
    "cancel_tuning_job": _links("id", *_OF_A_JOB),
    "list_tuning_jobs": _links("items/0/id", *_OF_A_JOB),
}
"""By the operation whose success they belong to; names are those of operations."""
