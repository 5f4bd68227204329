"""Entity tags: the revision of a job, in the clothes that HTTP gives it (RFC 9110)."""

from __future__ import annotations

import re
from typing import Final

_TAG: Final = re.compile(r'(?:W/)?"([^"]*)"')


def etag_of(revision: int) -> str:
    """Write the tag of a revision."""
    return f'"{revision}"'


def names_revision(if_none_match: str | None, revision: int) -> bool:
    """Whether an `If-None-Match` names this revision.

    Args:
        if_none_match: One tag, several, or `*`, which names every one; None names none.
        revision: Of the job.

    Returns:
        True if the client knows this revision; weak and strong tags compare alike.
    """
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or str(revision) in _TAG.findall(if_none_match)
