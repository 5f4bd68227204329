"""What is said about the end of a job: as little as possible, and the same on every try."""

from __future__ import annotations

import json
from datetime import datetime


def compose(*, job_id: str, state: str, finished_at: datetime) -> bytes:
    """Write the message about the end of a job.

    It names the job and how it ended; whoever gets it reads the answer through the API, where
    keys are asked for.

    Args:
        job_id: Which job.
        state: How it ended.
        finished_at: When.

    Returns:
        JSON. The same arguments give the same bytes.
    """
    message = {
        "type": f"tuning_job.{state}",
        "timestamp": finished_at.isoformat(),
        "data": {"id": job_id, "state": state},
    }
    return json.dumps(message, separators=(",", ":")).encode()
