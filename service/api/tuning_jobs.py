"""Tuning jobs: create, watch, list, cancel, and read what came out."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response, status

from service.admission import admit
from service.api import parameters
from service.api.collection import Collection, readable
from service.api.creation import REFUSALS, CallbackUrl, Force, IdempotencyKey, asked_by
from service.api.dependencies import StrictBody, Wired
from service.api.event_stream import EventStream
from service.api.events import TELLS, shown_stream
from service.api.examples import DIGITS
from service.api.exported import bodies, exported
from service.api.parameters import Cursor, IfNoneMatch, InState, JobId, LastEventId, Limit, Wait
from service.api.responses import problems
from service.api.security import Known
from service.schemas import Trial, TrialPage, TuningJob, TuningJobPage
from service.store.tables import JobKind
from tuner.exports.registry import FormatName
from tuner.recommendation import Recommendation

router = APIRouter(prefix="/v1/tuning-jobs", tags=["tuning jobs"])

JOBS: Final = Collection(kind=JobKind.TUNING, admit=admit, show=TuningJob.of, cursors="jobs")

_EXAMPLE: Final = """\
retry: 2000

event: trial
data: {"number": 0, "stage": "race", "state": "running", "global_batch_size": 64}

event: job
id: 7
data: {"id": "tj_3f1c", "state": "running", "stage": "race", "revision": 7}

"""

InFormat = Annotated[
    FormatName,
    Query(
        alias="format",
        description=(
            "`json` is the answer itself. The others are the numbers in the words of a framework, "
            "as text to be pasted or saved; what each maps to is in `docs/exports.md`."
        ),
    ),
]


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=parameters.spec_body("TuningSpec", digits=("A CNN on digits", DIGITS)),
    responses={**parameters.ACCEPTED, **problems(*REFUSALS, "batch_above_data_cap")},
)
async def create_tuning_job(
    body: StrictBody,
    response: Response,
    parts: Wired,
    caller: Known,
    *,
    force: Force = False,
    callback_url: CallbackUrl = None,
    idempotency_key: IdempotencyKey = None,
) -> TuningJob:
    """Queue a job. It is stored when this answers; nothing is queued if it is refused."""
    asked = asked_by(
        caller,
        parts.settings,
        kind=JobKind.TUNING,
        force=force,
        callback_url=callback_url,
        key=idempotency_key,
    )
    return await JOBS.create(body, response, parts, asked)


@router.get("", responses=problems())
def list_tuning_jobs(
    parts: Wired,
    caller: Known,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: InState = None,
) -> TuningJobPage:
    """List your jobs, the newest first."""
    items, more = JOBS.page(parts, caller, limit=limit, cursor=cursor, state=state)
    return TuningJobPage(items=items, next_cursor=more)


@router.get(
    "/{job_id}",
    responses={**parameters.LOOKED_AT, **problems("tuning_job_not_found")},
    response_model=TuningJob,
)
async def get_tuning_job(
    job_id: JobId,
    response: Response,
    parts: Wired,
    caller: Known,
    *,
    wait: Wait = 0.0,
    if_none_match: IfNoneMatch = None,
) -> TuningJob | Response:
    """Read a job, at once or when it has changed or ended."""
    return await JOBS.look(job_id, response, parts, caller, wait=wait, if_none_match=if_none_match)


@router.post(
    "/{job_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    responses={**parameters.CANCELLING, **problems("tuning_job_not_found", "storage_full")},
)
def cancel_tuning_job(job_id: JobId, response: Response, parts: Wired, caller: Known) -> TuningJob:
    """Ask for the end of a job. Asking again, or after its end, changes nothing."""
    return JOBS.cancel(job_id, response, parts, caller)


@router.delete(
    "/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={
        **parameters.REMOVED,
        **problems("tuning_job_not_found", "not_finished", "storage_full"),
    },
)
def delete_tuning_job(job_id: JobId, parts: Wired, caller: Known) -> None:
    """Remove a job that has ended, with its records, results and files."""
    JOBS.delete(job_id, parts, caller)


@router.get("/{job_id}/trials", responses=problems("tuning_job_not_found", "incompatible_upgrade"))
def list_trials(
    job_id: JobId, parts: Wired, caller: Known, limit: Limit = 1000, cursor: Cursor = None
) -> TrialPage:
    """List the configurations that a job has trained, in the order of their start."""
    job = JOBS.find(job_id, parts, caller)
    items, more = JOBS.trials(Trial, job, parts, limit=limit, cursor=cursor)
    return TrialPage(items=items, next_cursor=more)


@router.get(
    "/{job_id}/recommendation",
    responses={
        200: {"content": bodies()},
        **problems(
            "tuning_job_not_found", "no_recommendation", "not_finished", "incompatible_upgrade"
        ),
    },
    response_model=Recommendation,
)
def get_recommendation(
    job_id: JobId, parts: Wired, caller: Known, in_format: InFormat = "json"
) -> Recommendation | Response:
    """Read the answer of a job that has succeeded, in its own words or in a framework's."""
    job = JOBS.find(job_id, parts, caller)
    if job.answer is None:
        raise JOBS.no_answer(job, "no_recommendation")
    answer = readable(Recommendation, job.answer, job)
    return answer if in_format == "json" else exported(answer, in_format)


@router.get(
    "/{job_id}/events",
    response_class=Response,
    response_model=None,
    description=f"Follow a job: its state and its trials, each time that they change.\n\n{TELLS}",
    responses={
        200: shown_stream(_EXAMPLE),
        **problems("tuning_job_not_found", "too_many_streams"),
    },
)
async def stream_events(
    job_id: JobId, parts: Wired, caller: Known, last_event_id: LastEventId = None
) -> EventStream:
    """Follow a job as Server-Sent Events."""
    return await JOBS.stream(job_id, parts, caller, last_event_id)
