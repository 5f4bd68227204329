"""From the name of a file to its text, with what is wrong with the file told plainly."""

from __future__ import annotations

import re
from pathlib import Path

from batchscout.check.configuration import UnreadableConfig

LARGEST_BYTES = 2**20
"""A config is written by people; what is larger is data."""
_CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>)( |\r?$)", re.MULTILINE)


def open_text(file: Path) -> str:
    """Read a config file as it is: no newline is translated, a byte-order mark stays.

    Args:
        file: Where it is.

    Raises:
        UnreadableConfig: There is none, or it is a folder, larger than `LARGEST_BYTES`, or
            not UTF-8.
    """
    try:
        if file.is_dir():
            raise UnreadableConfig(f"{file} is a folder; name the config file in it")
        if file.exists() and not file.is_file():
            raise UnreadableConfig(f"{file} is no regular file")
        with file.open("rb") as opened:
            data = opened.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise UnreadableConfig(f"{file} is not there") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableConfig(f"{file} cannot be read: {why}") from error
    if len(data) > LARGEST_BYTES:
        raise UnreadableConfig(
            f"{file} is larger than {LARGEST_BYTES // 2**20} MiB; that is no config"
        )
    return _decode(file, data)


def refuse_conflicts(file: str, text: str) -> None:
    """Tell an unfinished merge before any parser stumbles over it.

    Raises:
        UnreadableConfig: A line begins with seven `<` or `>`.
    """
    found = _CONFLICT.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise UnreadableConfig(
            f"{file} holds the markers of an unfinished merge (line {line}); resolve it first",
            line=line,
        )


def _decode(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableConfig(
            f"{file} is not UTF-8 (line {line}); save it in that encoding", line=line
        ) from error
