"""Opaque cursors: a place in a list that a client gives back unread."""

from __future__ import annotations

import base64
import binascii

from service.problems import ProblemError, Violation


def write_cursor(place: int) -> str:
    """Hide a place in a list."""
    return base64.urlsafe_b64encode(f"v1:{place}".encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> int | None:
    """Find the place again.

    Raises:
        ProblemError: `invalid_parameter`; it is not a cursor of this service.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        version, _, place = base64.urlsafe_b64decode(padded).decode("ascii").partition(":")
        if version == "v1" and place.isdecimal() and len(place) < 19:  # noqa: PLR2004 - 64 bits
            return int(place)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    detail = "Give `next_cursor` of a page back as it was, or leave it out."
    found = Violation(parameter="cursor", detail=detail)
    raise ProblemError("invalid_parameter", f"cursor: {detail}", errors=[found])
