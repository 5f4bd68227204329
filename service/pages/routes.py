"""The addresses of pages: a list of everything, and for each job its page with its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, status
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from service.api import batch_size_studies, tuning_jobs, workers
from service.api.collection import Collection
from service.api.dependencies import Parts, Wired
from service.api.parameters import MAX_ID_CHARACTERS
from service.api.security import Caller, Known
from service.pages import static
from service.pages.examples import EXAMPLES
from service.pages.figures import Figures
from service.pages.forms import Refusal, queue, read_spec
from service.pages.job_page import WORKS, page_of, rows_of
from service.pages.policy import PageResponse
from service.pages.same_site import check_same_site
from service.pages.templating import render
from service.problems import ProblemError
from service.schemas import Trial
from service.store.tables import JobKind
from service.study_schemas import StudyRunShown

LISTED: Final = 50
"""Jobs on one page of the list."""

After = Annotated[int | None, Query(ge=0, le=2**31)]
Before = Annotated[int | None, Query(ge=1, le=2**53)]

router = APIRouter(include_in_schema=False, tags=["pages"])


@router.get("/")
def show_list(parts: Wired, caller: Known, before: Before = None) -> Response:
    """Everything: jobs and studies, devices, and forms to start a job."""
    return PageResponse(_list_page(parts, caller, before=before))


@router.get("/parts/list")
def show_list_part(parts: Wired, caller: Known, before: Before = None) -> Response:
    """The parts of the list that change."""
    return PageResponse(render("_list.html", **_listed(parts, caller, before)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Pages of the jobs of one kind.

    Args:
        collection: All of them.
        rows: How their trials are shown.
        figures: Draws theirs.
    """

    collection: Collection[Any]
    rows: type[Trial | StudyRunShown]
    figures: Figures

    def add_to(self, pages: APIRouter) -> None:
        """Add the addresses of these pages to a router."""
        base = WORKS[self.collection.kind]
        for path, endpoint in (
            ("", self.show),
            ("/live", self.show_live),
            ("/figures", self.show_figures),
            ("/figures/{name}", self.show_figure),
            ("/trials", self.show_trials),
        ):
            pages.add_api_route(f"{base}/{{job_id}}{path}", endpoint, name=f"{base}{path}")
        pages.add_api_route(base, self.start, methods=["POST"], name=f"{base}-start")
        pages.add_api_route(
            f"{base}/{{job_id}}/cancel", self.cancel, methods=["POST"], name=f"{base}-cancel"
        )

    def show(self, job_id: str, parts: Wired, caller: Known) -> Response:
        """The page of a job."""
        page = page_of(self.collection, _checked(job_id), parts, caller)
        trials = rows_of(self.rows, page.job, parts.jobs, after=None)
        return PageResponse(render("job.html", page=page, trials=trials))

    def show_live(self, job_id: str, parts: Wired, caller: Known) -> Response:
        """The parts of that page that change."""
        page = page_of(self.collection, _checked(job_id), parts, caller)
        return PageResponse(render("_live.html", page=page))

    def show_figures(
        self, job_id: str, parts: Wired, caller: Known, *, part: bool = False
    ) -> Response:
        """The figures of a job with their tables; as a page, or as a part of one."""
        job = self.collection.find(_checked(job_id), parts, caller)
        figures = self.figures.of(job, parts.jobs)
        template = "_figures.html" if part else "figures.html"
        address = f"{WORKS[job.kind]}/{job.id}"
        return PageResponse(render(template, job=job, address=address, figures=figures))

    def show_figure(self, job_id: str, name: str, parts: Wired, caller: Known) -> Response:
        """The whole table of one figure."""
        job = self.collection.find(_checked(job_id), parts, caller)
        chart = self.figures.chart(job, parts.jobs, name)
        if chart is None:
            raise ProblemError("not_found", "This job has no such figure.")
        address = f"{WORKS[job.kind]}/{job.id}"
        return PageResponse(render("figure.html", job=job, address=address, chart=chart))

    def show_trials(
        self,
        job_id: str,
        parts: Wired,
        caller: Known,
        after: After = None,
        *,
        part: bool = False,
    ) -> Response:
        """Further trials of a job; as a page, or as rows of a table."""
        job = self.collection.find(_checked(job_id), parts, caller)
        trials = rows_of(self.rows, job, parts.jobs, after=after)
        template = "_rows.html" if part else "trials.html"
        address = f"{WORKS[job.kind]}/{job.id}"
        return PageResponse(render(template, job=job, address=address, trials=trials))

    async def start(self, request: Request, parts: Wired, caller: Known) -> Response:
        """Queue a job from a plain form, and lead to its page."""
        check_same_site(request.headers)
        text = await read_spec(request, parts)
        made = await run_in_threadpool(queue, text, self.collection, parts, caller)
        if isinstance(made, Refusal):
            return await run_in_threadpool(self._refused, made, parts, caller)
        address = f"{WORKS[made.kind]}/{made.id}"
        return RedirectResponse(address, status_code=status.HTTP_303_SEE_OTHER)

    def cancel(self, job_id: str, request: Request, parts: Wired, caller: Known) -> Response:
        """Ask for the end of a job from a plain form, and lead back to its page."""
        check_same_site(request.headers)
        job = self.collection.cancel(_checked(job_id), Response(), parts, caller)
        address = f"{WORKS[self.collection.kind]}/{job.id}"
        return RedirectResponse(address, status_code=status.HTTP_303_SEE_OTHER)

    def _refused(self, refusal: Refusal, parts: Parts, caller: Caller) -> Response:
        html = _list_page(parts, caller, refused=(self.collection.kind, refusal))
        return PageResponse(html, status_code=refusal.problem.status)


def _checked(job_id: str) -> str:
    """An id that no job can have is that of none."""
    return job_id[: MAX_ID_CHARACTERS + 1]


def _list_page(
    parts: Parts,
    caller: Caller,
    *,
    before: int | None = None,
    refused: tuple[JobKind, Refusal] | None = None,
) -> str:
    listed = _listed(parts, caller, before)
    return render("list.html", **listed, examples=EXAMPLES, refused=refused)


def _listed(parts: Parts, caller: Caller, before: int | None) -> dict[str, Any]:
    jobs = parts.jobs.page(limit=LISTED + 1, before=before, owner=caller.owner)
    found = workers.list_workers(parts)
    return {
        "jobs": jobs[:LISTED],
        "next_before": jobs[LISTED - 1].number if len(jobs) > LISTED else None,
        "before": before,
        "workers": found,
        "works": WORKS,
    }


for _each in (
    _Kind(collection=tuning_jobs.JOBS, rows=Trial, figures=Figures()),
    _Kind(collection=batch_size_studies.STUDIES, rows=StudyRunShown, figures=Figures()),
):
    _each.add_to(router)
router.include_router(static.router)
