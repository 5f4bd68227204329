"""The bytes of a request's body: declared as what they are, bounded in size and in time."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from service.problems import ProblemError
from service.settings import Settings

_ENDED = {"Connection": "close"}
"""What is left of the body is not read, so that nothing can follow it on this connection."""


async def read_bytes(request: Request, settings: Settings) -> bytes:
    """Read a JSON body, and not a byte more than allowed.

    Args:
        request: Whose body has not been touched yet.
        settings: The limits.

    Returns:
        The body as it was sent.

    Raises:
        ProblemError: It is not declared as JSON, is packed, too large, too slow, or breaks off.
    """
    _check_type(request)
    _check_length(request.headers.get("content-length", ""), settings)
    try:
        async with asyncio.timeout(settings.max_body_seconds):
            return await _read(request, settings)
    except TimeoutError as error:
        raise ProblemError(
            "body_too_slow",
            f"The body did not end within {settings.max_body_seconds:g} seconds.",
            headers=_ENDED,
        ) from error
    except ClientDisconnect as error:
        detail = "The connection ended before the body did."
        raise ProblemError("bad_request", detail) from error


def _check_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(
            "unsupported_media_type",
            f"Send the body as application/json, not as {media_type[:60] or 'nothing'}.",
            headers=_ENDED,
        )
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in {"", "identity"}:
        # A few packed kilobytes can hold gigabytes: nothing is unpacked here.
        raise ProblemError(
            "unsupported_media_type",
            f"Send the body as it is, not packed as {coding[:60]}.",
            headers={**_ENDED, "Accept-Encoding": "identity"},
        )


def _check_length(declared: str, settings: Settings) -> None:
    # More digits than any length has: the server below lets no other text than digits through.
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > settings.max_body_bytes):  # noqa: PLR2004 - 64 bits
        raise _too_large(settings)


async def _read(request: Request, settings: Settings) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > settings.max_body_bytes:
            raise _too_large(settings)
    return bytes(body)


def _too_large(settings: Settings) -> ProblemError:
    detail = f"The body may have {settings.max_body_bytes} bytes: put large data into files."
    return ProblemError("body_too_large", detail, headers=_ENDED)
