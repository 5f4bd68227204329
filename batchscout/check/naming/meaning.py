"""What a framework makes of a file: candidates for every role, and what it adds in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from batchscout.check.configuration import Obstacle, Role
from batchscout.check.naming.words import (
    PEAK_RATE,
    PLAIN_MICRO,
    WORDS,
    about_training,
    in_schedule,
    parts,
)
from batchscout.check.reading.entries import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """What a framework takes where a file says nothing.

    Args:
        value: The number.
        origin: Whose default: `the default of TrainingArguments`.
    """

    value: float
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overruled:
    """A role that something else in the file decides.

    Args:
        entry: What decides.
        obstacle: Why the value is not known from the file.
        detail: A sentence that names the key and the way out.
    """

    entry: Entry
    obstacle: Obstacle
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One framework's reading of a file.

    Args:
        framework: Whose words they are.
        candidates: The values that could be meant, role by role.
        defaults: What holds for a role without a candidate.
        overruled: Roles that are not told, whatever their candidates.
    """

    framework: str
    candidates: Mapping[Role, Sequence[Entry]]
    defaults: Mapping[Role, Default] = field(default_factory=dict)
    overruled: Mapping[Role, Overruled] = field(default_factory=dict)


def usual_candidates(entries: Sequence[Entry]) -> dict[Role, list[Entry]]:
    """Find the values at the usual names, wherever in the file they stand."""
    found: dict[Role, list[Entry]] = {role: [] for role in WORDS}
    for entry in entries:
        last = parts(entry)[-1]
        for role, words in WORDS.items():
            if last in words and about_training(entry) and _outside(entry, last):
                found[role].append(entry)
    found[Role.MICRO_BATCH_SIZE] = _clearest(found[Role.MICRO_BATCH_SIZE])
    return found


def _outside(entry: Entry, last: str) -> bool:
    # Inside a schedule `lr` is an end or a start; a table there is the schedule itself.
    return last in PEAK_RATE or not in_schedule(entry)


def _clearest(found: list[Entry]) -> list[Entry]:
    """Drop `batch_size` where `micro_batch_size` or the like stands beside it."""
    clear = {entry.path[:-1] for entry in found if parts(entry)[-1] not in PLAIN_MICRO}
    return [
        entry
        for entry in found
        if parts(entry)[-1] not in PLAIN_MICRO or entry.path[:-1] not in clear
    ]
