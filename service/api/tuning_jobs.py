"""Tuning jobs: create, watch, list, cancel, and read what came out."""

from __future__ import annotations

import shutil
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Header, Path, Query, Response, status
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from service.api.creation import CallbackUrl, Force, IdempotencyKey, asked_by, create_job
from service.api.cursors import read_cursor, write_cursor
from service.api.dependencies import StrictBody, Wired
from service.api.etags import etag_of, names_revision
from service.api.examples import DIGITS
from service.api.exported import bodies, exported
from service.api.owned import find_job, no_such_job
from service.api.responses import OF_A_BODY, problems
from service.api.security import Known, recheck
from service.api.watch import Status
from service.problems import Problem, ProblemError
from service.schemas import Trial, TrialPage, TuningJob, TuningJobPage, unreadable
from service.store.jobs import NotFinished
from service.store.tables import TERMINAL, Job, JobState
from tuner.exports.registry import FormatName
from tuner.recommendation import Recommendation

router = APIRouter(prefix="/v1/tuning-jobs", tags=["tuning jobs"])

RETRY_AFTER_SECONDS: Final = 2
"""What a client that cannot wait on the connection is told to sleep."""

_RETRY: Final = {"Retry-After": str(RETRY_AFTER_SECONDS)}

Shown = TypeVar("Shown", bound=BaseModel)

JobId = Annotated[str, Path(description="Id of the job.", max_length=40)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items at most.")]
Cursor = Annotated[
    str | None, Query(max_length=64, description="`next_cursor` of the page before.")
]
InState = Annotated[JobState | None, Query(description="Only jobs in this state.")]
Wait = Annotated[
    float,
    Query(
        ge=0.0,
        le=86400.0,
        description=(
            "Seconds to wait, 60 at most: with `If-None-Match` for any change, else for the "
            "end of the job."
        ),
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="ETag of the state already known.")
]

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

_SPEC_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/TuningSpec"},
                "examples": {"digits": {"summary": "A CNN on digits", "value": DIGITS}},
            }
        },
    }
}
_ETAG: Final = {"ETag": {"description": "Revision of the job.", "schema": {"type": "string"}}}
_LOCATION: Final = {"Location": {"description": "The job.", "schema": {"type": "string"}}}
_RETRY_HEADER: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=_SPEC_BODY,
    responses={
        202: {"headers": {**_LOCATION, **_RETRY_HEADER, **_ETAG}},
        **problems(
            *OF_A_BODY,
            "invalid_spec",
            "invalid_workload",
            "batch_above_data_cap",
            "accelerator_unavailable",
            "callback_refused",
            "idempotency_key_in_use",
            "idempotency_key_reused",
            "queue_full",
            "key_queue_full",
            "storage_full",
        ),
    },
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
        caller, parts.settings, force=force, callback_url=callback_url, key=idempotency_key
    )
    job = await run_in_threadpool(create_job, body, parts, asked)
    response.headers["Location"] = f"/v1/tuning-jobs/{job.id}"
    _describe(response, job)
    return TuningJob.of(job)


@router.get("", responses=problems())
def list_tuning_jobs(
    parts: Wired,
    caller: Known,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: InState = None,
) -> TuningJobPage:
    """List your jobs, the newest first."""
    before = read_cursor("jobs", cursor)
    jobs = parts.jobs.page(limit=limit + 1, before=before, state=state, owner=caller.owner)
    shown = jobs[:limit]
    more = write_cursor("jobs", shown[-1].number) if len(jobs) > limit else None
    return TuningJobPage(items=[TuningJob.of(job) for job in shown], next_cursor=more)


@router.get(
    "/{job_id}",
    responses={
        200: {"headers": {**_ETAG, **_RETRY_HEADER}},
        304: {"description": "Nothing has changed since the ETag that was given."},
        **problems("tuning_job_not_found"),
    },
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
    job = await run_in_threadpool(find_job, job_id, parts, caller)
    seconds = min(wait, parts.settings.max_wait_seconds)
    if seconds > 0 and not _enough(if_none_match, (job.revision, job.state)):
        await parts.watch.wait(
            job_id, lambda found: _enough(if_none_match, found), timeout_seconds=seconds
        )
        await run_in_threadpool(recheck, caller, parts)
        job = await run_in_threadpool(find_job, job_id, parts, caller)
    if names_revision(if_none_match, job.revision):
        return Response(
            status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag_of(job.revision)}
        )
    _describe(response, job)
    return TuningJob.of(job)


def _enough(if_none_match: str | None, found: Status) -> bool:
    revision, state = found
    if if_none_match is None:
        return state in TERMINAL
    # A job that has ended will not change any more: whoever knows it need not wait.
    return state in TERMINAL or not names_revision(if_none_match, revision)


@router.post(
    "/{job_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    responses={
        202: {"headers": {**_ETAG, **_RETRY_HEADER}},
        **problems("tuning_job_not_found", "storage_full"),
    },
)
def cancel_tuning_job(job_id: JobId, response: Response, parts: Wired, caller: Known) -> TuningJob:
    """Ask for the end of a job. Asking again, or after its end, changes nothing."""
    job = parts.jobs.cancel(job_id, owner=caller.owner)
    if job is None:
        raise no_such_job(job_id)
    _describe(response, job)
    return TuningJob.of(job)


@router.delete(
    "/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={
        204: {"description": "The job and all that belonged to it are gone."},
        **problems("tuning_job_not_found", "not_finished", "storage_full"),
    },
)
def delete_tuning_job(job_id: JobId, parts: Wired, caller: Known) -> None:
    """Remove a job that has ended, with its records, results and files."""
    try:
        found = parts.jobs.delete(job_id, owner=caller.owner)
    except NotFinished as error:
        detail = f"The job is {error.state}: cancel it and wait for its end first."
        raise ProblemError("not_finished", detail, headers=_RETRY) from error
    if not found:
        raise no_such_job(job_id)
    shutil.rmtree(parts.settings.places_of(job_id).artifacts, ignore_errors=True)


@router.get("/{job_id}/trials", responses=problems("tuning_job_not_found", "incompatible_upgrade"))
def list_trials(
    job_id: JobId, parts: Wired, caller: Known, limit: Limit = 1000, cursor: Cursor = None
) -> TrialPage:
    """List the configurations that a job has trained, in the order of their start."""
    job = find_job(job_id, parts, caller)
    this_list = f"trials/{job.number}"
    after = read_cursor(this_list, cursor)
    trials = parts.jobs.trials(job.number, limit=limit + 1, after=after)
    shown = trials[:limit]
    more = write_cursor(this_list, shown[-1].position) if len(trials) > limit else None
    items = [_readable(Trial, trial.view, job) for trial in shown]
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
    job = find_job(job_id, parts, caller)
    if job.answer is not None:
        answer = _readable(Recommendation, job.answer, job)
        return answer if in_format == "json" else exported(answer, in_format)
    if job.state not in TERMINAL:
        detail = f"The job is {job.state}: wait with GET /v1/tuning-jobs/{job_id}?wait=60."
        raise ProblemError("not_finished", detail, headers=_RETRY)
    why = Problem.model_validate(job.problem).detail if job.problem else "It was cancelled."
    raise ProblemError("no_recommendation", f"The job has {job.state}. {why}")


def _readable(model: type[Shown], stored: Any, job: Job) -> Shown:
    try:
        return model.model_validate(stored)
    except ValidationError as error:
        problem = unreadable(job.id)
        raise ProblemError(problem.code, problem.detail) from error


def _describe(response: Response, job: Job) -> None:
    response.headers["ETag"] = etag_of(job.revision)
    if job.state not in TERMINAL:
        response.headers.update(_RETRY)
