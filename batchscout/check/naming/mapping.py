"""`--map role=key`: what a person says about a key wins over every usual name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from batchscout.check.configuration import Role, UnreadableConfig
from batchscout.check.reading.entries import Document, Entry, join, printable

_INDEX = re.compile(r"\.(\d+)(?=\.|$)")
_NUMBERED = re.compile(r"#\d+\(")
_MOST_NEAR = 3
_MOST_COMPARED = 2000


def mapped(document: Document, mapping: Mapping[Role, str]) -> dict[Role, list[Entry]]:
    """Find the values that a mapping names.

    Args:
        document: The file.
        mapping: From role to key: `train.batch`, `stages[0].lr` or `stages.0.lr`,
            `TrainingArguments(learning_rate)`, `TrainingArguments#2(learning_rate)`.

    Raises:
        UnreadableConfig: A key is not there, or two roles name the same one.
    """
    if not mapping:
        return {}
    by_key: dict[str, list[Entry]] = {}
    for entry in document.entries:
        key = join(entry.path)
        by_key.setdefault(key, []).append(entry)
        if _NUMBERED.search(key):  # without its number a call means all of that name
            by_key.setdefault(_NUMBERED.sub("(", key), []).append(entry)
    found: dict[Role, list[Entry]] = {}
    users: dict[str, Role] = {}
    for role, wanted in mapping.items():
        key = _INDEX.sub(r"[\1]", wanted.strip())
        key = key if key in by_key else wanted.strip()
        if key not in by_key:
            raise UnreadableConfig(_missing(document.file, role, wanted, list(by_key)))
        if key in users:
            raise UnreadableConfig(
                f"--map gives {printable(key)} to {users[key]} and to {role}; it can be one of them"
            )
        users[key] = role
        found[role] = by_key[key]
    return found


def chosen_call(mapping: Mapping[Role, str]) -> str | None:
    """Which of several calls a mapping names: `TrainingArguments#2`; None for none or several."""
    calls = {key.strip().partition("(")[0] for key in mapping.values() if _NUMBERED.search(key)}
    return calls.pop() if len(calls) == 1 else None


def _missing(file: str, role: Role, wanted: str, keys: list[str]) -> str:
    import difflib  # noqa: PLC0415 (needed for this message alone)

    last = re.split(r"[.(]", wanted.strip())[-1].rstrip(")")
    near = difflib.get_close_matches(wanted, keys[:_MOST_COMPARED], n=_MOST_NEAR, cutoff=0.5)
    near += [key for key in keys if last and last in key and key not in near]
    told = ", ".join(printable(key) for key in near[:_MOST_NEAR])
    advice = f"; near it: {told}" if told else ""
    return f"{file} has no key {printable(wanted)!r} (--map {role}){advice}"
