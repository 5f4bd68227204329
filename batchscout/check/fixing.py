"""Writing other numbers into a config: only their characters change, every other byte stays."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchscout.check.configuration import Configuration, Place, Role, Setting, UnreadableConfig
from batchscout.check.naming.missing import line_to_add
from batchscout.check.reading.document import take_apart
from batchscout.check.reading.entries import Document, Entry, Kind


class UnsafeFix(Exception):
    """The new text would not read as it should; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A config with other numbers.

    Args:
        text: The whole new text.
        changed: What was written, role by role, with its new place.
        refused: What was not, each with the reason and the way out.
    """

    text: str
    changed: Mapping[Role, Setting]
    refused: Mapping[Role, str]


def fix(configuration: Configuration, changes: Mapping[Role, float]) -> Fixed:
    """Write numbers where a config has others.

    Args:
        configuration: The config as it was read.
        changes: The number for each role; one that the config has already is left as written.

    Returns:
        The new text, with what was changed and what could not be.

    Raises:
        UnsafeFix: The new text, read again, differs in more than these values.
        ValueError: A number is not positive and finite, or a fraction where a whole one is due.
    """
    wanted = {role: _checked(role, value) for role, value in changes.items()}
    refused: dict[Role, str] = {}
    splices: dict[Role, Place] = {}
    for role, value in wanted.items():
        known = configuration.settings.get(role)
        if known is not None and known.value == value:
            continue
        why = _refusal(configuration, role, value)
        if why is None and known is not None and known.place is not None:
            splices[role] = known.place
        else:
            refused[role] = why or line_to_add(configuration, role, written(role, value))
    text, starts = _splice(configuration.text, splices, wanted)
    document = _verified(
        configuration, text, {splices[role].start: wanted[role] for role in splices}
    )
    entries = {entry.start: entry for entry in document.entries if entry.kind is Kind.NUMBER}
    changed = {
        role: Setting(
            role=role, value=wanted[role], place=document.place(entries[start]), origin="the file"
        )
        for role, start in starts.items()
    }
    return Fixed(text=text, changed=changed, refused=refused)


def written(role: Role, value: float) -> str:
    """Write a number so that every reader of every format reads the same one.

    YAML 1.1 takes `1e-05` for text, so that a rate always has a point: `1.0e-05`.
    """
    if role is not Role.LEARNING_RATE:
        return str(int(value))
    shortest = repr(float(value))
    digits, exponent, power = shortest.partition("e")
    return f"{digits}.0e{power}" if exponent and "." not in digits else shortest


def replace_file(path: Path, text: str) -> None:
    """Put a text in the place of a file, whole or not at all; its mode is kept.

    Args:
        path: The file; a symbolic link is followed. It need not be there yet.
        text: The new content; newlines are written as they are.
    """
    target = path.resolve()
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _mode_of_new_files()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(text.encode("utf-8"))
            opened.flush()
            os.fchmod(opened.fileno(), mode)
            os.fsync(opened.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mode_of_new_files() -> int:
    masked = os.umask(0)
    os.umask(masked)
    return 0o666 & ~masked


def _checked(role: Role, value: float) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"{role} cannot become {value}")
    if role is Role.LEARNING_RATE:
        return number
    if number != int(number):
        raise ValueError(f"{role} cannot become {value}: it counts")
    return int(number)


def _refusal(configuration: Configuration, role: Role, value: float) -> str | None:
    untellable = configuration.untellable.get(role)
    if untellable is not None:
        return f"{untellable.detail}; {written(role, value)} is wanted there"
    known = configuration.settings.get(role)
    if known is None or known.place is None or known.unpatchable is None:
        return None
    return (
        f"{known.place.key} (line {known.place.line}) is left alone: {known.unpatchable}; "
        f"write {written(role, value)} by hand"
    )


def _splice(
    text: str, splices: Mapping[Role, Place], wanted: Mapping[Role, float]
) -> tuple[str, dict[Role, int]]:
    """Put the numbers in; also tell where each of them begins in the new text."""
    pieces: list[str] = []
    starts: dict[Role, int] = {}
    done = shift = 0
    for role, place in sorted(splices.items(), key=lambda splice: splice[1].start):
        new = written(role, wanted[role])
        pieces += [text[done : place.start], new]
        starts[role] = place.start + shift
        shift += len(new) - (place.end - place.start)
        done = place.end
    return "".join([*pieces, text[done:]]), starts


def _verified(configuration: Configuration, text: str, wanted: Mapping[int, float]) -> Document:
    """Read both texts and hold every value of them against each other.

    Args:
        configuration: The config as it was.
        text: The new one.
        wanted: The new numbers by the offset that they had in the old text.
    """
    try:
        before = take_apart(configuration.file, configuration.text).entries
        document = take_apart(configuration.file, text)
    except UnreadableConfig as error:
        raise UnsafeFix(f"{configuration.file} would not be readable any more: {error}") from error
    after = document.entries
    if len(before) != len(after) or not all(
        _as_expected(old, new, wanted) for old, new in zip(before, after, strict=True)
    ):
        raise UnsafeFix(f"{configuration.file} would not read as it should; nothing was changed")
    return document


def _as_expected(old: Entry, new: Entry, starts: Mapping[int, float]) -> bool:
    if (old.path, old.kind, old.unpatchable) != (new.path, new.kind, new.unpatchable):
        return False
    if old.start in starts and old.kind is Kind.NUMBER:
        return new.value == starts[old.start]
    if old.kind is Kind.CODE and any(old.start <= start < old.end for start in starts):
        return True  # its source holds a changed value, which is an entry of its own
    # Written out, since NaN is not equal to itself.
    return repr(old.value) == repr(new.value)
