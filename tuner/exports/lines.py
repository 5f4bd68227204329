"""Text of others inside of a comment or a value, where it must not end what it stands in."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Final

COMMENT_WIDTH: Final = 96
MOST_CHARACTERS: Final = 1000
"""Of one remark; what is longer is cut, since a comment is no log."""

_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9 ._+:/()-]")


def one_line(text: str) -> str:
    """Make a text safe to stand in a comment.

    Args:
        text: Any text: a device's name, a warning.

    Returns:
        One line. What cannot be printed (ends of lines of every kind, control characters, marks
        that turn the direction of writing, half surrogates) stands there as its escape.
    """
    cut = text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in cut
    )


def plain(text: str) -> str:
    """Make a text safe to stand in a value, even where a shell expands it unquoted.

    Args:
        text: Any text.

    Returns:
        Letters, digits, spaces and a few marks; everything else becomes `_`.
    """
    return _NOT_PLAIN.sub("_", text[:MOST_CHARACTERS])


def comment(remarks: Iterable[str]) -> str:
    """Write remarks as comments of the `#` kind.

    Args:
        remarks: One text each.

    Returns:
        Lines that each begin with `#`, and a newline at the end.
    """
    lines = (
        line
        for remark in remarks
        for line in textwrap.wrap(
            one_line(remark),
            COMMENT_WIDTH,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
    return "".join(f"# {line}\n" for line in lines)
