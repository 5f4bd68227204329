"""Creating a job: what comes beside its spec, and every way in which it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

from fastapi import Header, Query

from service.api.dependencies import Parts
from service.api.in_flight import InUse
from service.api.responses import OF_A_BODY
from service.api.security import Caller
from service.callbacks.address import Refused
from service.callbacks.destination import read_destination
from service.problems import ProblemError, Violation
from service.settings import Settings
from service.store.jobs import Asked, KeyReused, QueueFull
from service.store.tables import Job, JobKind
from tuner.spec import digest

MAX_URL_CHARACTERS: Final = 2048
_PORT: Final = (
    "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
)
_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
URL_PATTERN: Final = rf"^https?://{_LABEL}(\.{_LABEL})*{_PORT}([/?][!-~]*)?$"
"""A name or an IPv4 address, a port, a path. No user and password: an address is not secret."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description=(
            "Any text of your own, such as a UUID: a request that is repeated with it leads to "
            "the job of the first one. It is remembered for 7 days."
        ),
    ),
]
Force = Annotated[
    bool, Query(description="Measure, although the answer to the same request is known.")
]
CallbackUrl = Annotated[
    str | None,
    Query(
        max_length=MAX_URL_CHARACTERS,
        pattern=URL_PATTERN,
        description="Is sent a signed message when the job has ended.",
    ),
]

Admit: TypeAlias = Callable[..., Any]
"""Refuses a body; is given `settings`, and the `accelerators` that the executor has."""

REFUSALS: Final = (
    *OF_A_BODY,
    "invalid_spec",
    "invalid_workload",
    "accelerator_unavailable",
    "callback_refused",
    "idempotency_key_in_use",
    "idempotency_key_reused",
    "queue_full",
    "key_queue_full",
    "storage_full",
)
"""Codes of the problems with which a job of any kind can be refused."""

_COME_BACK: Final = {"Retry-After": "60"}
_SOON: Final = {"Retry-After": "1"}


def create_job(body: Any, parts: Parts, asked: Asked, admit: Admit) -> Job:
    """Admit a request and queue its job, or find the job that it has already led to.

    Args:
        body: Plain JSON values, as the user wrote them.
        parts: Settings and store.
        asked: What came beside the body.
        admit: Refuses a request that cannot be answered here.

    Returns:
        The job; it is stored.

    Raises:
        ProblemError: The request cannot be taken; nothing was queued.
        InvalidWorkload: Admission refuses it.
    """
    settings = parts.settings
    try:
        with parts.in_flight.hold(asked.owner, asked.idempotency_key):
            # What was taken once is not refused because the service has changed since.
            before = parts.jobs.asked_before(digest(body), asked)
            if before is not None:
                return before
            _, devices = parts.jobs.devices()
            accelerators = frozenset(device.view["accelerator"] for device in devices)
            admit(body, settings=settings, accelerators=accelerators)
            limit = settings.max_queued_jobs
            return parts.jobs.create(body, digest(body), max_queued=limit, asked=asked)
    except InUse as error:
        detail = "The first request with this Idempotency-Key is still being answered: try again."
        raise ProblemError("idempotency_key_in_use", detail, headers=_SOON) from error
    except KeyReused as error:
        detail = (
            "This Idempotency-Key came before with another spec, `force` or `callback_url`: "
            "give each request a key of its own."
        )
        raise ProblemError("idempotency_key_reused", detail) from error
    except QueueFull as error:
        raise _full(error, settings) from error


def asked_by(
    caller: Caller,
    settings: Settings,
    *,
    kind: JobKind,
    callback_url: str | None,
    key: str | None,
    force: bool = False,
) -> Asked:
    """Collect what came beside the body of a request.

    Args:
        caller: Who asks; only the owner of a key has a limit of its own.
        settings: The limit.
        kind: What is asked for.
        callback_url: Whom to tell of the end.
        key: The `Idempotency-Key`.
        force: Whether what is known is measured again.

    Returns:
        All of it.

    Raises:
        ProblemError: `callback_refused`; no callback may go to that URL.
    """
    if callback_url is not None:
        _check_callback(callback_url, settings)
    return Asked(
        kind=kind,
        owner=caller.owner,
        max_queued=settings.max_queued_jobs_per_key if caller.owner is not None else None,
        forced=force,
        callback_url=callback_url,
        idempotency_key=key,
    )


def _check_callback(url: str, settings: Settings) -> None:
    """Refuse what can be told without looking the name up; that happens when it is sent."""
    try:
        read_destination(url, allowed=settings.callback_networks)
    except Refused as error:
        found = [Violation(detail=str(error), parameter="callback_url")]
        raise ProblemError("callback_refused", str(error), errors=found) from error


def _full(error: QueueFull, settings: Settings) -> ProblemError:
    if error.of_owner:
        limit = settings.max_queued_jobs_per_key
        detail = f"{limit} jobs of your key are queued, as many as one may have: come back later."
        return ProblemError("key_queue_full", detail, headers=_COME_BACK)
    limit = settings.max_queued_jobs
    detail = f"{limit} jobs are queued, as many as this service takes: come back later."
    return ProblemError("queue_full", detail, headers=_COME_BACK)
