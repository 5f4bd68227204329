"""The errors of the client, drawn.

BatchscoutError
├── ServiceUnavailable   nobody answers, or the service is too busy: try later
├── UnusableKey          the key has characters that no key has, so it cannot be sent
├── UnexpectedAnswer     something answers that is not a batchscout of this version
└── ProblemError         the service said no; carries its `Problem`
    ├── Refused          the request has to change; nothing was queued
    ├── JobFailed        the job ended `failed`; the problem says why
    └── JobCancelled     the job was cancelled before it had an answer
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One field that is to blame.

    Args:
        where: JSON Pointer into the spec, or the name of a parameter; empty for the whole.
        detail: What is wrong with it, and what to change.
    """

    where: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something could not be done (RFC 9457), as the service told it.

    Args:
        code: Stable code for programs.
        detail: One or two sentences for people.
        status: HTTP status, 0 for the problem of a job.
        fields: Fields that are to blame, each with where it is.
        traceback: Of the user's own code, where that raised.
        facts: Numbers behind it, such as bytes needed and available.
    """

    code: str
    detail: str
    status: int = 0
    fields: tuple[FieldProblem, ...] = ()
    traceback: str | None = None
    facts: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, document: Mapping[str, Any], *, status: int = 0) -> Self:
        """Read a problem from JSON, whatever parts of it are there.

        Args:
            document: A problem document of the service, or the problem of a failed job.
            status: HTTP status it came with.

        Returns:
            The problem; a document without a `detail` falls back on its title.
        """
        return cls(
            code=str(document.get("code") or "unknown"),
            detail=str(document.get("detail") or document.get("title") or "no reason was given"),
            status=status,
            fields=tuple(_fields(document)),
            traceback=document.get("traceback"),
            facts=document.get("facts"),
        )


def _fields(document: Mapping[str, Any]) -> list[FieldProblem]:
    listed = [
        FieldProblem(
            where=str(item.get("pointer") or item.get("parameter") or ""),
            detail=str(item.get("detail") or ""),
        )
        for item in document.get("errors") or ()
        if isinstance(item, Mapping)
    ]
    if not listed and document.get("pointer"):
        detail = str(document.get("detail") or "")
        listed.append(FieldProblem(where=str(document["pointer"]), detail=detail))
    return listed


class BatchscoutError(Exception):
    """Something that the client cannot turn into an answer."""


class ServiceUnavailable(BatchscoutError):
    """Nobody answers at that address, or the service is too busy. Try later."""


class UnusableKey(BatchscoutError):
    """The key has characters that no key has, so it cannot be sent. It is not shown."""


class UnexpectedAnswer(BatchscoutError):
    """Something answered that is not a batchscout service this client can talk to."""


class ProblemError(BatchscoutError):
    """The service said no.

    Args:
        problem: What it said.
        job_id: The job it is about, if there is one.
    """

    def __init__(self, problem: Problem, *, job_id: str | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.job_id = job_id


class Refused(ProblemError):
    """The request has to change. Nothing was queued."""


class JobFailed(ProblemError):
    """The job ended `failed`; its problem says why and what to change."""


class JobCancelled(ProblemError):
    """The job was cancelled before it had an answer."""
