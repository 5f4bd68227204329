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
    "stream_events",
    "delete_tuning_job",
)


_TO_THE_JOB: Final = {
    name: {"operationId": name, "parameters": {"job_id": "$response.body#/id"}}
    for name in _OF_A_JOB
}

LINKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "create_tuning_job": _TO_THE_JOB,
    "get_tuning_job": _TO_THE_JOB,
    "cancel_tuning_job": _TO_THE_JOB,
}
"""By the operation whose success they belong to; names are those of operations."""
