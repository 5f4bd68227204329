"""Batch-size studies: create, watch, list, cancel, and read what was found."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response, status

from service.admission import admit_study
from service.api import parameters
from service.api.collection import Collection, readable
from service.api.creation import REFUSALS, CallbackUrl, IdempotencyKey, asked_by
from service.api.dependencies import StrictBody, Wired
from service.api.event_stream import EventStream
from service.api.events import TELLS, shown_stream
from service.api.examples import STUDY
from service.api.parameters import Cursor, IfNoneMatch, InState, LastEventId, Limit, StudyId, Wait
from service.api.responses import problems
from service.api.security import Known
from service.store.tables import JobKind
from service.study_schemas import BatchSizeStudy, BatchSizeStudyPage, StudyRunPage, StudyRunShown
from tuner.study_findings import StudyFindings

router = APIRouter(prefix="/v1/batch-size-studies", tags=["batch-size studies"])

STUDIES: Final = Collection(
    kind=JobKind.STUDY, admit=admit_study, show=BatchSizeStudy.of, cursors="studies"
)

_EXAMPLE: Final = """\
retry: 2000

event: trial
data: {"number": 0, "state": "complete", "global_batch_size": 32, "learning_rate": 0.05}

event: job
id: 7
data: {"id": "bs_3f1c", "state": "running", "stage": "train", "revision": 7}

"""


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=parameters.spec_body("StudySpec", digits=("A small network on digits", STUDY)),
    responses={
        **parameters.ACCEPTED,
        **problems(*REFUSALS, "batch_above_data_cap", "study_too_large"),
    },
)
async def create_batch_size_study(
    body: StrictBody,
    response: Response,
    parts: Wired,
    caller: Known,
    *,
    callback_url: CallbackUrl = None,
    idempotency_key: IdempotencyKey = None,
) -> BatchSizeStudy:
    """Queue a study. It is stored when this answers; nothing is queued if it is refused."""
    asked = asked_by(
        caller, parts.settings, kind=JobKind.STUDY, callback_url=callback_url, key=idempotency_key
    )
    return await STUDIES.create(body, response, parts, asked)


@router.get("", responses=problems())
def list_batch_size_studies(
    parts: Wired,
    caller: Known,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: InState = None,
) -> BatchSizeStudyPage:
    """List your studies, the newest first."""
    items, more = STUDIES.page(parts, caller, limit=limit, cursor=cursor, state=state)
    return BatchSizeStudyPage(items=items, next_cursor=more)


@router.get(
    "/{study_id}",
    responses={**parameters.LOOKED_AT, **problems("batch_size_study_not_found")},
    response_model=BatchSizeStudy,
)
async def get_batch_size_study(
    study_id: StudyId,
    response: Response,
    parts: Wired,
    caller: Known,
    *,
    wait: Wait = 0.0,
    if_none_match: IfNoneMatch = None,
) -> BatchSizeStudy | Response:
    """Read a study, at once or when it has changed or ended."""
    return await STUDIES.look(
        study_id, response, parts, caller, wait=wait, if_none_match=if_none_match
    )


@router.post(
    "/{study_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    responses={**parameters.CANCELLING, **problems("batch_size_study_not_found", "storage_full")},
)
def cancel_batch_size_study(
    study_id: StudyId, response: Response, parts: Wired, caller: Known
) -> BatchSizeStudy:
    """Ask for the end of a study. Asking again, or after its end, changes nothing."""
    return STUDIES.cancel(study_id, response, parts, caller)


@router.delete(
    "/{study_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={
        **parameters.REMOVED,
        **problems("batch_size_study_not_found", "not_finished", "storage_full"),
    },
)
def delete_batch_size_study(study_id: StudyId, parts: Wired, caller: Known) -> None:
    """Remove a study that has ended, with its records, results and files."""
    STUDIES.delete(study_id, parts, caller)


@router.get(
    "/{study_id}/runs",
    responses=problems("batch_size_study_not_found", "incompatible_upgrade"),
)
def list_study_runs(
    study_id: StudyId, parts: Wired, caller: Known, limit: Limit = 1000, cursor: Cursor = None
) -> StudyRunPage:
    """List the trainings of a study, in the order of their start; their curves are findings."""
    job = STUDIES.find(study_id, parts, caller)
    items, more = STUDIES.trials(StudyRunShown, job, parts, limit=limit, cursor=cursor)
    return StudyRunPage(items=items, next_cursor=more)


@router.get(
    "/{study_id}/findings",
    responses=problems(
        "batch_size_study_not_found", "no_findings", "not_finished", "incompatible_upgrade"
    ),
)
def get_study_findings(study_id: StudyId, parts: Wired, caller: Known) -> StudyFindings:
    """Read all that a study found; curves and landscapes may be many megabytes."""
    job = STUDIES.find(study_id, parts, caller)
    found = parts.jobs.findings(job.number)
    if found is None:
        raise STUDIES.no_answer(job, "no_findings")
    return readable(StudyFindings, found, job)


@router.get(
    "/{study_id}/events",
    response_class=Response,
    response_model=None,
    description=f"Follow a study: its state and its runs, each time that they change.\n\n{TELLS}",
    responses={
        200: shown_stream(_EXAMPLE),
        **problems("batch_size_study_not_found", "too_many_streams"),
    },
)
async def stream_study_events(
    study_id: StudyId, parts: Wired, caller: Known, last_event_id: LastEventId = None
) -> EventStream:
    """Follow a study as Server-Sent Events."""
    return await STUDIES.stream(study_id, parts, caller, last_event_id)
