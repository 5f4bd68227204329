"""The events of a job, as a stream that a browser's `EventSource` reads."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Response
from starlette.concurrency import run_in_threadpool

from service.api.dependencies import Wired
from service.api.event_stream import MEDIA_TYPE, EventStream
from service.api.owned import find_job
from service.api.responses import problems
from service.api.security import Known
from service.api.tuning_jobs import JobId
from service.problems import ProblemError

router = APIRouter(prefix="/v1/tuning-jobs", tags=["tuning jobs"])

BUSY_RETRY_SECONDS: Final = 10
"""What a reader is told to wait where there are too many."""

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=255,
        examples=["7"],
        description="Id of the last event that was received: only what changed since is sent.",
    ),
]

_EXAMPLE: Final = """\
retry: 2000

event: trial
data: {"number": 0, "stage": "race", "state": "running", "global_batch_size": 64}

event: job
id: 7
data: {"id": "tj_3f1c", "state": "running", "stage": "race", "revision": 7}

"""
_STREAM: Final[dict[str, Any]] = {
    "description": "Events, until the job has ended.",
    "content": {
        MEDIA_TYPE: {
            "schema": {"type": "string"},
            "examples": {"race": {"summary": "A race begins", "value": _EXAMPLE}},
        }
    },
}


@router.get(
    "/{job_id}/events",
    response_class=Response,
    response_model=None,
    responses={200: _STREAM, **problems("tuning_job_not_found", "too_many_streams")},
)
async def stream_events(
    job_id: JobId, parts: Wired, caller: Known, last_event_id: LastEventId = None
) -> EventStream:
    """Follow a job as Server-Sent Events: its state and its trials, each time that they change.

    Events are `trial` (as `/trials` shows it), `job` (as it is shown elsewhere, without its
    `spec`), `reset` (forget what you know, all of it follows) and `end` (with the last `state`,
    or `deleted`; close the connection). They tell states, not steps: who falls behind gets the
    newest one. The id is the revision of the job. The connection stays open for as long as the
    job lasts: programs that only wait for its end do so more simply with `?wait=`.
    """
    job = await run_in_threadpool(find_job, job_id, parts, caller)
    if parts.feeds.full:
        limit = parts.settings.max_event_streams
        detail = f"{limit} streams are open, as many as this service takes: come back later."
        headers = {"Retry-After": str(BUSY_RETRY_SECONDS)}
        raise ProblemError("too_many_streams", detail, headers=headers)
    return EventStream(
        parts.feeds,
        job.id,
        revision=job.revision,
        last_event_id=last_event_id,
        needs_key=caller.owner is not None,
        heartbeat_seconds=parts.settings.event_heartbeat_seconds,
        lifetime_seconds=parts.settings.event_stream_seconds,
    )
