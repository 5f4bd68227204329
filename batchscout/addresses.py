"""Where a service has things. The id of a job tells of which kind it is."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

JOBS: Final = "/v1/tuning-jobs"
STUDIES: Final = "/v1/batch-size-studies"
ESTIMATES: Final = "/v1/memory-estimates"

STUDY_IDS: Final = "bs_"
"""What the ids of studies begin with."""


def address_of(job_id: str) -> str:
    """Say where a tuning job or a study is.

    Args:
        job_id: Its id.

    Returns:
        The path below the address of the service.
    """
    collection = STUDIES if is_study(job_id) else JOBS
    return f"{collection}/{quote(job_id, safe='')}"


def is_study(job_id: str) -> bool:
    """Whether an id is that of a batch-size study."""
    return job_id.startswith(STUDY_IDS)
