"""What is said about the end of a job: as little as possible, and the same on every try."""

from __future__ import annotations

import json
from datetime import datetime

from service.kinds import facts_of


def compose(*, kind: str, job_id: str, state: str, finished_at: datetime) -> bytes:
    """Write the message about the end of a job.

    It names the job and how it ended; whoever gets it reads the answer through the API, where
    keys are asked for.

    Args:
        kind: What the job is about.
        job_id: Which job.
        state: How it ended.
        finished_at: When.

    Returns:
        JSON. The same arguments give the same bytes.
    """
    message = {
        "type": f"{facts_of(kind).topic}.{state}",
        "timestamp": finished_at.isoformat(),
        "data": {"id": job_id, "state": state},
    }
    return json.dumps(message, separators=(",", ":")).encode()
