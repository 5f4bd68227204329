"""From the candidates of one role to its value, or to the reason why there is none."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence

from batchscout.check.configuration import Obstacle, Role, Setting, Untellable
from batchscout.check.reading.entries import Document, Entry, Kind, Trouble, printable

LARGEST = 2**53
"""No batch comes near, and beyond it a float is not exact."""
_ENVIRONMENT = re.compile(
    r"\$\{\s*(oc\.env|env|oc\.decode)\s*:|\$\{[A-Z_][A-Z0-9_]*(:?[-=?+][^}]*)?\}|\$[A-Za-z_]"
    r"|%[A-Z_][A-Z0-9_]*%"
)
_INTERPOLATION = re.compile(r"\$\{|\$\(|\{\{|\{%|%\([A-Za-z_]\w*\)[sdfi]|^\?\?\?$|<%|^\{\w+\}$")
LONGEST_TEXT = 1000
"""Characters in which a reference is looked for; a longer text is none."""
_WHERE = 4
"""Keys that a message lists at most."""


def tell(role: Role, candidates: Sequence[Entry], document: Document) -> Setting | Untellable:
    """Take the one value that is meant.

    Args:
        role: Whose value.
        candidates: At least one.
        document: The file.
    """
    meant = _meant(candidates)
    if len(meant) > 1:
        return _ambiguous(role, meant, document)
    entry = meant[0]
    trouble = trouble_with(role, entry)
    place = document.place(entry)
    if trouble is not None:
        detail = f"{entry.key} {trouble.clause}"
        return Untellable(role=role, obstacle=trouble.obstacle, detail=detail, place=place)
    value = float(entry.value or 0)
    return Setting(
        role=role,
        value=value if role is Role.LEARNING_RATE else int(value),
        place=place,
        origin="the file",
        unpatchable=entry.unpatchable,
    )


def trouble_with(role: Role, entry: Entry) -> Trouble | None:
    """Say why a value is not usable for a role; None if it is."""
    if entry.trouble is not None:
        return entry.trouble
    match entry.kind:
        case Kind.NUMBER:
            return _number_trouble(role, float_of(entry.value))
        case Kind.TEXT:
            return _text_trouble(role, str(entry.value))
        case Kind.TABLE:
            clause = f"holds a mapping; name the key in it: --map {role}={entry.key}.KEY"
        case Kind.OTHER:
            clause = f"is {printable(str(entry.value))}, where {_wanted(role)} is needed"
        case Kind.CODE:
            return Trouble(obstacle=Obstacle.COMPUTED, clause="is computed")
        case _:
            clause = f"holds {entry.kind.value}, where {_wanted(role)} is needed"
    return Trouble(obstacle=Obstacle.NOT_A_NUMBER, clause=clause)


def float_of(value: float | str | None) -> float:
    """A number as a float; infinite where it is too large for one."""
    try:
        return float(value or 0)
    except OverflowError:
        return math.inf


def text_trouble(text: str) -> Trouble | None:
    """Tell text that stands for a value from elsewhere: a reference, a variable, `auto`."""
    shown = printable(text)
    text = text[:LONGEST_TEXT]
    if text.strip().lower() == "auto":
        return Trouble(
            obstacle=Obstacle.AUTOMATIC, clause="is auto: the framework decides when it starts"
        )
    if _ENVIRONMENT.search(text):
        return Trouble(
            obstacle=Obstacle.ENVIRONMENT,
            clause=f"comes from the environment: {shown}; write the number itself",
        )
    if _INTERPOLATION.search(text):
        return Trouble(
            obstacle=Obstacle.INTERPOLATION,
            clause=f"is filled in from elsewhere: {shown}; write the number itself",
        )
    return None


def _text_trouble(role: Role, text: str) -> Trouble:
    known = text_trouble(text)
    clause = f"is the text {printable(text)!r}, where {_wanted(role)} is needed"
    return known or Trouble(obstacle=Obstacle.NOT_A_NUMBER, clause=clause)


def _number_trouble(role: Role, value: float) -> Trouble | None:
    whole = role is not Role.LEARNING_RATE
    if value == -1 and role in {Role.DATA_PARALLEL_SIZE, Role.GLOBAL_BATCH_SIZE}:
        return Trouble(
            obstacle=Obstacle.AUTOMATIC, clause="is -1: the framework decides when it starts"
        )
    fine = math.isfinite(value) and value > 0 and value < LARGEST
    if fine and not (whole and value != math.floor(value)):
        return None
    clause = f"is {value:.12g}, where {_wanted(role)} is needed"
    return Trouble(obstacle=Obstacle.NOT_A_NUMBER, clause=clause)


def _wanted(role: Role) -> str:
    return "a positive number" if role is Role.LEARNING_RATE else "a positive whole number"


def _meant(candidates: Sequence[Entry]) -> list[Entry]:
    """What is left of the candidates: unset keys yield, one written value counts once."""
    unset = [entry for entry in candidates if entry.kind is not Kind.NOTHING]
    by_span: dict[tuple[int, int], Entry] = {}
    for entry in unset or candidates:
        # The last of several ways to one value is where it is used, not where it is defined.
        by_span[entry.start, entry.end] = entry
    meant = list(by_span.values())
    troubles = [trouble_with(Role.LEARNING_RATE, entry) for entry in meant]
    if all(trouble and trouble.obstacle is Obstacle.AUTOMATIC for trouble in troubles):
        return meant[:1]
    return meant


def option(role: Role, entry: Entry) -> str:
    """Write the option that chooses a value; a key is quoted as a shell needs it."""
    return f"--map {shlex.quote(f'{role}={entry.key}')}"


def _ambiguous(role: Role, meant: Sequence[Entry], document: Document) -> Untellable:
    named = [f"{entry.key} (line {document.place(entry).line})" for entry in meant[:_WHERE]]
    more = f" and {len(meant) - _WHERE} more" if len(meant) > _WHERE else ""
    return Untellable(
        role=role,
        obstacle=Obstacle.AMBIGUOUS,
        detail=f"several keys could be meant: {', '.join(named)}{more}; "
        f"choose one: {option(role, meant[0])}",
        place=document.place(meant[0]),
    )
