"""How problem responses are documented, so that generated clients get them typed."""

from __future__ import annotations

from typing import Any, Final

from service.api.problem_examples import references
from service.problems import KINDS, MEDIA_TYPE

ALWAYS: Final = ("unknown_host", "invalid_parameter", "internal_error", "not_ready")
"""Problems that any operation can answer with."""

OF_A_BODY: Final = (
    "invalid_json",
    "bad_request",
    "body_too_slow",
    "body_too_large",
    "unsupported_media_type",
)
"""Problems of an operation that reads a body."""

PROBLEM_REF: Final = "#/components/schemas/Problem"


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Document the problems that an operation can answer with.

    Args:
        codes: From the table of codes; those of `ALWAYS` go without saying.

    Returns:
        Responses by status, each of media type `application/problem+json`.
    """
    by_status: dict[int, list[str]] = {}
    for code in (*codes, *ALWAYS):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {
        status: {
            "description": "; ".join(f"`{code}`: {KINDS[code].title}" for code in found),
            "content": {
                MEDIA_TYPE: {"schema": {"$ref": PROBLEM_REF}, "examples": references(found)}
            },
        }
        for status, found in sorted(by_status.items())
    }
