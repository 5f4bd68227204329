"""Whether the API lives, and whether it can work."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from service.api.dependencies import Wired
from service.api.responses import problems
from service.api.workers import controller_status
from service.problems import ProblemError
from service.schemas import Liveness, Readiness

router = APIRouter(tags=["service"])


@router.get("/livez", responses=problems())
async def get_liveness() -> Liveness:
    """The process answers; nothing else is looked at."""
    return Liveness(state="alive")


@router.get("/readyz", responses=problems())
def get_readiness(parts: Wired) -> Readiness:
    """The database answers and has the schema of this version."""
    try:
        revision = parts.jobs.revision()
        controller, _ = parts.jobs.devices()
    except SQLAlchemyError as error:
        detail = f"The database does not answer ({type(error).__name__})."
        raise ProblemError("not_ready", detail, headers={"Retry-After": "5"}) from error
    if revision != parts.schema_revision:
        detail = (
            f"The database is at schema {revision}, this version needs {parts.schema_revision}."
        )
        raise ProblemError("not_ready", detail, headers={"Retry-After": "5"})
    return Readiness(
        state="ready", schema_revision=revision, controller=controller_status(controller, parts)
    )
