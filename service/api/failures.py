"""Every way in which a request can fail, turned into a problem response in one place."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service.pages.refusals import is_of_page, show_problem
from service.problems import MEDIA_TYPE, Problem, ProblemError, from_tuner, make_problem
from service.store.faults import Fault, fault_of
from service.violations import parameter_violations
from tuner.errors import TunerError

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_log = logging.getLogger(__name__)


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Make the response that carries a problem."""
    body = problem.model_dump(mode="json", exclude_none=True)
    return JSONResponse(
        body, status_code=problem.status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def install(app: FastAPI) -> None:
    """Have every failure of an application answered with a problem."""
    app.add_exception_handler(ProblemError, _refused)
    app.add_exception_handler(TunerError, _not_tunable)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    # Starlette's own: it also covers unknown addresses and bodies that cannot be read.
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OperationalError, _database)
    app.add_exception_handler(Exception, _unexpected)


def _answer(
    request: Request, problem: Problem, headers: Mapping[str, str] | None = None
) -> Response:
    """Tell a problem to a program, or to who looks at a page."""
    return show_problem(problem, headers) if is_of_page(request) else respond(problem, headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - for the type checker
    problem = make_problem(error.code, error.detail, instance=request.url.path, errors=error.errors)
    return _answer(request, problem, error.headers)


async def _not_tunable(request: Request, error: Exception) -> Response:
    assert isinstance(error, TunerError)  # noqa: S101 - for the type checker
    return _answer(request, from_tuner(error.problem, instance=request.url.path))


async def _bad_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for the type checker
    found = parameter_violations(error.errors())
    detail = f"{found[0].parameter}: {found[0].detail}"
    path = request.url.path
    return _answer(request, make_problem("invalid_parameter", detail, instance=path, errors=found))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
    path = request.url.path
    code = _CODES.get(error.status_code, "bad_request")
    detail = {
        "not_found": f"There is nothing at {path}; /docs lists what there is.",
        "method_not_allowed": f"{path} does not take {request.method}.",
    }.get(code, f"{http.HTTPStatus(error.status_code).phrase}: {error.detail}")
    headers = {"Allow": _allowed(request)} if code == "method_not_allowed" else error.headers
    return _answer(request, make_problem(code, detail, instance=path), headers)


def _allowed(request: Request) -> str:
    """Every method of an address; the framework names those of its first route alone."""
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        match, _ = context.original_route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(context.original_route, "methods", None) or set()
    return ", ".join(sorted(methods))


async def _database(request: Request, error: Exception) -> Response:
    assert isinstance(error, OperationalError)  # noqa: S101 - for the type checker
    path, fault = request.url.path, fault_of(error)
    if fault is Fault.FULL:
        _log.error("%s %s: the disk of the database is full", request.method, path)
        detail = "The service has no room left, so nothing was done; what is stored is safe."
        return _answer(
            request, make_problem("storage_full", detail, instance=path), {"Retry-After": "60"}
        )
    if fault is Fault.BUSY:
        _log.warning("%s %s: another process keeps the database", request.method, path)
    else:  # The file is gone, or the server is.
        _log.error("%s %s: no database", request.method, path, exc_info=error)
    detail = "The database does not answer, so nothing was done: try again later."
    return _answer(request, make_problem("not_ready", detail, instance=path), {"Retry-After": "5"})


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "The request failed for no fault of yours; the service's log says more."
    return _answer(request, make_problem("internal_error", detail, instance=request.url.path))
