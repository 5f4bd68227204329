"""Who asks: the owner of a key, or anybody where no keys are demanded.

The application demands a key for every address by default (`create_app`); what is open says
so here, so that nothing becomes open by being forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from service.api.dependencies import Parts, Wired
from service.keys import digest_of
from service.problems import ProblemError

OPEN: Final = frozenset({"/livez", "/readyz"})
"""Addresses that need no key: who looks after the process has none."""

OPEN_FOLDER: Final = "/static/"
"""What pages are drawn with, the one that asks for a key too; it is the same for everybody."""

CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="batchscout"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Args:
        owner: Id of the key; None where no keys are demanded, and then everything is seen.
    """

    owner: str | None


ANYBODY: Final = Caller(owner=None)


async def get_caller(request: Request, parts: Wired) -> Caller:
    """Recognise who asks.

    Raises:
        ProblemError: `unauthenticated`; a key is demanded, and none that is valid was sent.
    """
    path = request.url.path
    if not parts.settings.demands_keys or path in OPEN or path.startswith(OPEN_FOLDER):
        return ANYBODY
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthenticated(
            "Send your key as `Authorization: Bearer bs_...`; batchscout's own client and "
            "commands read it from BATCHSCOUT_KEY."
        )
    owner = await run_in_threadpool(parts.keys.find, digest_of(key.strip()))
    if owner is None:
        raise _unauthenticated("This key is not known here, or was revoked.")
    return Caller(owner=owner)


Known = Annotated[Caller, Depends(get_caller)]
"""A parameter of an endpoint: who asks."""


def recheck(caller: Caller, parts: Parts) -> None:
    """Make sure that a caller who has waited is still welcome; it looks into the database.

    Raises:
        ProblemError: `unauthenticated`; the key was revoked meanwhile.
    """
    if caller.owner is not None and not parts.keys.is_valid(caller.owner):
        raise _unauthenticated("This key was revoked.")


def _unauthenticated(detail: str) -> ProblemError:
    return ProblemError("unauthenticated", detail, headers=CHALLENGE)
