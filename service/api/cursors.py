"""Opaque cursors: a place in a list that a client gives back unread."""

from __future__ import annotations

import base64
import binascii

from service.problems import ProblemError, Violation


def write_cursor(of: str, place: int) -> str:
    """Hide a place in a list.

    Args:
        of: Which list; no other takes the cursor.
        place: In it.

    Returns:
        The cursor.
    """
    return base64.urlsafe_b64encode(f"{of}:{place}".encode()).decode().rstrip("=")


def read_cursor(of: str, cursor: str | None) -> int | None:
    """Find the place again.

    Args:
        of: Which list is read.
        cursor: What the client gave back; None for the beginning.

    Returns:
        The place; None for the beginning.

    Raises:
        ProblemError: `invalid_parameter`; it is not a cursor of this list.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        named, _, place = base64.urlsafe_b64decode(padded).decode("ascii").rpartition(":")
        if named == of and place.isdecimal() and len(place) < 19:  # noqa: PLR2004 - 64 bits
            return int(place)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    detail = "Give `next_cursor` of a page of this list back as it was, or leave it out."
    found = Violation(parameter="cursor", detail=detail)
    raise ProblemError("invalid_parameter", f"cursor: {detail}", errors=[found])
