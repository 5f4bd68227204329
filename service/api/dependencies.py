"""What endpoints need, by name: the parts that `create_app` wired, and the strict body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from service import strict_json
from service.api.body import read_bytes
from service.api.feeds import Feeds
from service.api.in_flight import InFlight
from service.api.watch import Watch
from service.estimates import Estimates
from service.settings import Settings
from service.store.jobs import Jobs
from service.store.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one application is made of.

    Args:
        settings: How it was deployed.
        jobs: The API's half of the store.
        watch: Wakes long polls.
        feeds: Keeps streams of events up to date.
        schema_revision: What the database has to be at.
        estimates: Predicts memory.
        keys: Who may ask.
        in_flight: Requests under an `Idempotency-Key` that are being answered.
    """

    settings: Settings
    jobs: Jobs
    watch: Watch
    feeds: Feeds
    schema_revision: str
    estimates: Estimates
    keys: Keys
    in_flight: InFlight


def get_parts(request: Request) -> Parts:
    """The parts of the application that got this request."""
    return cast("Parts", request.app.state.parts)


Wired = Annotated[Parts, Depends(get_parts)]


async def read_body(request: Request, parts: Wired) -> Any:
    """Read the body as strict JSON.

    Raises:
        ProblemError: It cannot be read, or is no JSON.
    """
    body = await read_bytes(request, parts.settings)
    # A large one would keep everybody else waiting for some tenths of a second.
    return await run_in_threadpool(strict_json.parse, body, max_depth=parts.settings.max_body_depth)


StrictBody = Annotated[Any, Depends(read_body)]
