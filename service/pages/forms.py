"""A job from a plain form: what a browser without script sends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from fastapi import Request

from service import strict_json
from service.api.collection import Collection
from service.api.creation import asked_by, create_job
from service.api.dependencies import Parts
from service.api.security import Caller
from service.problems import Problem, ProblemError, from_tuner, make_problem
from service.store.tables import Job
from tuner.errors import TunerError

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_PACKED: Final = 3
"""A character of a form takes up to so many times the bytes that it has in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a form led to no job.

    Args:
        problem: What is wrong.
        text: What was sent, to be mended.
    """

    problem: Problem
    text: str


async def read_spec(request: Request, parts: Parts) -> str:
    """Read the request out of a form.

    Args:
        request: Whose body has not been touched yet.
        parts: The limits.

    Returns:
        What stands in the field `spec`.

    Raises:
        ProblemError: It is no form of ours, is too large or too slow.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        raise ProblemError("unsupported_media_type", f"Send the form as {MEDIA_TYPE}.")
    limit = _PACKED * parts.settings.max_body_bytes
    body = bytearray()
    try:
        async with asyncio.timeout(parts.settings.max_body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise ProblemError("body_too_large", "The form is over the limit.")
    except TimeoutError as error:
        raise ProblemError("body_too_slow", "The form did not end in time.") from error
    try:
        fields = parse_qs(body.decode("ascii"), errors="strict", max_num_fields=8)
    except ValueError as error:
        raise ProblemError("bad_request", "The form cannot be read.") from error
    return fields.get("spec", [""])[0]


def queue(text: str, collection: Collection[Any], parts: Parts, caller: Caller) -> Job | Refusal:
    """Queue the job that a form asks for.

    Args:
        text: The request, as JSON.
        collection: All jobs of its kind.
        parts: Store and settings.
        caller: Who asks.

    Returns:
        The job, or why there is none.
    """
    asked = asked_by(caller, parts.settings, kind=collection.kind, callback_url=None, key=None)
    try:
        body = strict_json.parse(text.encode(), max_depth=parts.settings.max_body_depth)
        return create_job(body, parts, asked, collection.admit)
    except ProblemError as error:
        problem = make_problem(error.code, error.detail, errors=error.errors)
    except TunerError as error:
        problem = from_tuner(error.problem, instance="")
    return Refusal(problem=problem, text=text)
