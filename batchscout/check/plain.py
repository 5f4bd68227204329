"""Text from elsewhere, made harmless where it is printed.

File names, keys of a config, names of devices and sentences of a service are not ours. On a
terminal they could move the cursor; in the log of a CI job a line that begins with `::`, or
holds `##[`, is a command to the runner.
"""

from __future__ import annotations

from typing import Final

COMMAND: Final = "##["
"""The older way to write a command to a runner: it counts anywhere in a line."""


def plain(text: str) -> str:
    """Write text from elsewhere on one line that commands nothing.

    Args:
        text: Anything.

    Returns:
        The same with everything unprintable written as an escape, and no `##[`. Whoever
        prints it begins the line with a word of their own, so `::` does not stand first.
    """
    shown = text if text.isprintable() else "".join(map(_escaped, text))
    return shown.replace(COMMAND, "#\\x23[")


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode()
