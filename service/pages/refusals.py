"""Problems of pages as pages: who follows a link does not want to read JSON."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from service.pages.policy import PageResponse
from service.pages.templating import render
from service.problems import Problem


def is_of_page(request: Request) -> bool:
    """Whether a request is for a page of ours."""
    return "pages" in getattr(request.scope.get("route"), "tags", ())


def show_problem(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Make the page that tells a problem; the one without a key asks for it.

    Args:
        problem: What is wrong.
        headers: Of the response.
    """
    template = "door.html" if problem.code == "unauthenticated" else "problem.html"
    html = render(template, problem=problem)
    return PageResponse(html, status_code=problem.status, headers=dict(headers or {}))
