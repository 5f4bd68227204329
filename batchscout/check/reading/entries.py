"""What every kind of config file becomes first: its values, each with its way and its span."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batchscout.check.configuration import Obstacle, Place

DEEPEST = 100
"""Levels of nesting that are followed; no config of people comes near."""
LONGEST_SHOWN = 80
"""Characters of a file's own text that a message repeats."""


class Kind(StrEnum):
    """What stands at a key."""

    NUMBER = "a number"
    TEXT = "text"
    OTHER = "true, false or a date"
    NOTHING = "nothing (null)"
    LIST = "a list"
    TABLE = "a mapping"
    CODE = "code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a value cannot be taken as it stands.

    Args:
        obstacle: What is in the way.
        clause: The end of the sentence that begins with the key: `is computed: ...`.
    """

    obstacle: Obstacle
    clause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value of a file.

    Args:
        path: The way to it; an item of a list is `[0]`, a keyword of a call `(name)`.
        kind: What it is.
        value: The number, the text, or how many items the list has.
        start: Offset of its first character.
        end: Offset behind its last one.
        trouble: What the parser already knows to be in the way.
        unpatchable: Why nothing may be written there.
    """

    path: tuple[str, ...]
    kind: Kind
    value: float | str | None
    start: int
    end: int
    trouble: Trouble | None = None
    unpatchable: str | None = None

    @property
    def key(self) -> str:
        """The way for people: `train.stages[0].lr`, `TrainingArguments(learning_rate)`."""
        return printable(join(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file, taken apart.

    Args:
        file: Its name, as it was given.
        text: The whole of it; offsets of entries count its characters.
        form: `yaml`, `json`, `toml` or `python`.
        entries: Its values, in the order in which they stand.
    """

    file: str
    text: str
    form: str
    entries: Sequence[Entry]
    _starts: list[int] = field(default_factory=list)

    def place(self, entry: Entry) -> Place:
        """Tell where an entry stands, in lines and columns too."""
        if not self._starts:
            self._starts.extend(line_starts(self.text))
        line = bisect_right(self._starts, entry.start)
        first = self._starts[line - 1]
        # A byte-order mark is no character that an editor shows.
        hidden = 1 if line == 1 and self.text.startswith("\ufeff") else 0
        column = entry.start - first + 1 - hidden
        return Place(key=entry.key, line=line, column=column, start=entry.start, end=entry.end)


def join(path: Sequence[str]) -> str:
    """Write a path as one word."""
    joined = ""
    for part in path:
        joined += part if not joined or part.startswith(("[", "(")) else f".{part}"
    return joined


def printable(text: str) -> str:
    """Make a file's own words safe to repeat: short, in one line, without control characters."""
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text[: LONGEST_SHOWN + 1]
    )
    return shown if len(text) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."


def line_starts(text: str) -> list[int]:
    """Offsets at which lines begin; lines end at LF, CR LF or CR, as in editors and in Python."""
    unified = text.replace("\r\n", " \n").replace("\r", "\n")  # offsets stay
    starts = [0]
    for line in unified.split("\n")[:-1]:
        starts.append(starts[-1] + len(line) + 1)
    return starts
