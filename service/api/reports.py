"""Reports: one file with all that a job has shown."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from service.api.batch_size_studies import STUDIES
from service.api.collection import Collection
from service.api.dependencies import Parts, Wired
from service.api.parameters import JobId, StudyId
from service.api.responses import problems
from service.api.security import Caller, Known
from service.api.tuning_jobs import JOBS
from service.evidence import StudyEvidence, TuningEvidence, study_evidence, tuning_evidence
from service.report import MEDIA_TYPES, ReportFormat, write_report
from service.store.recorded import Recorded

router = APIRouter()

Format = Annotated[
    ReportFormat,
    Query(
        alias="format",
        description="`html`: one file that needs no other; `md`: text and tables; `json`: all "
        "that is stored, and the charts as Plotly takes them.",
    ),
]

_BEGINNINGS: Final[dict[ReportFormat, Any]] = {
    ReportFormat.HTML: '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
    ReportFormat.MARKDOWN: "# Tuning job tj_3f1c\n",
    ReportFormat.JSON: {"kind": "tuning", "job_id": "tj_3f1c"},
}
"""How each format begins; whole reports are long."""

_REPORT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The report, of what is known when it is asked for.",
        "content": {
            media.partition(";")[0]: {
                "schema": {"type": "object" if form is ReportFormat.JSON else "string"},
                "examples": {"beginning": {"summary": "How it begins", "value": _BEGINNINGS[form]}},
            }
            for form, media in MEDIA_TYPES.items()
        },
    }
}


@router.get(
    "/v1/tuning-jobs/{job_id}/report",
    tags=["tuning jobs"],
    response_class=Response,
    responses={**_REPORT, **problems("tuning_job_not_found")},
)
def get_tuning_job_report(
    job_id: JobId, parts: Wired, caller: Known, form: Format = ReportFormat.HTML
) -> Response:
    """Write all that a job has shown into one file, also before its end."""
    return _answer(tuning_evidence(_recorded(JOBS, job_id, parts, caller)), form)


@router.get(
    "/v1/batch-size-studies/{study_id}/report",
    tags=["batch-size studies"],
    response_class=Response,
    responses={**_REPORT, **problems("batch_size_study_not_found")},
)
def get_batch_size_study_report(
    study_id: StudyId, parts: Wired, caller: Known, form: Format = ReportFormat.HTML
) -> Response:
    """Write all that a study has shown into one file, also before its end."""
    return _answer(study_evidence(_recorded(STUDIES, study_id, parts, caller)), form)


def _recorded(collection: Collection[Any], job_id: str, parts: Parts, caller: Caller) -> Recorded:
    job = collection.find(job_id, parts, caller)
    recorded = parts.jobs.recorded(job.number)
    # It may have been deleted since: then it is not found, as for who asks a moment later.
    return recorded if recorded is not None else _gone(collection, job_id, parts, caller)


def _gone(collection: Collection[Any], job_id: str, parts: Parts, caller: Caller) -> Recorded:
    collection.find(job_id, parts, caller)
    raise AssertionError("a job is there, and nothing is stored of it")


def _answer(evidence: TuningEvidence | StudyEvidence, form: ReportFormat) -> Response:
    headers = {
        "Content-Disposition": f'inline; filename="{evidence.job_id}.{form}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(write_report(evidence, form), media_type=MEDIA_TYPES[form], headers=headers)
