"""JSON: every value with its way and its span.

The standard parser decides what is JSON; a scanner that can rely on that finds the spans. In
files called `.jsonc`, comments and trailing commas are blanked first, character by character,
so that offsets stay. In `.json` they are refused, since the frameworks refuse them too.
"""

from __future__ import annotations

import json
import re

from batchscout.check.configuration import UnreadableConfig
from batchscout.check.reading.entries import DEEPEST, Entry, Kind, printable

_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(rf'({_STRING})|([{{}}\[\],:])|([^\s{{}}\[\],:"]+)', re.DOTALL)
# What is not closed ends with the text, so that it is looked for once and not from every quote.
_CLOSED = rf"{_STRING}|\"(?:[^\"\\]|\\.)*\\?\Z"
_COMMENT = re.compile(rf"{_CLOSED}|(//[^\r\n]*|/\*.*?(?:\*/|\Z))", re.DOTALL)
_TRAILING = re.compile(rf"{_CLOSED}|(,)(?=\s*[}}\]])", re.DOTALL)
_WORDS = {
    "true": (Kind.OTHER, "true"),
    "false": (Kind.OTHER, "false"),
    "null": (Kind.NOTHING, None),
}


def json_entries(file: str, text: str) -> list[Entry]:
    """Take a JSON text apart.

    Args:
        file: Name for messages; `.jsonc` allows comments.
        text: The file, without a byte-order mark.

    Raises:
        UnreadableConfig: It is no JSON, or one object holds the same key twice.
    """
    strict = _without_comments(text) if file.lower().endswith(".jsonc") else text
    try:
        json.loads(strict)
    except json.JSONDecodeError as error:
        raise UnreadableConfig(
            f"{file} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
            f"{_advice(strict)}",
            line=error.lineno,
        ) from error
    except ValueError as error:
        raise UnreadableConfig(f"{file} is not JSON: {printable(str(error))}") from error
    return _Scan(file, strict).entries()


def _without_comments(text: str) -> str:
    return _TRAILING.sub(_blank, _COMMENT.sub(_blank, text))


def _blank(found: re.Match[str]) -> str:
    if found.group(1) is None:
        return found.group(0)
    return "".join(letter if letter in "\r\n" else " " for letter in found.group(0))


def _advice(text: str) -> str:
    if any(found.group(1) for found in _COMMENT.finditer(text)):
        return " (comments are no part of JSON, and frameworks refuse them; .jsonc may hold them)"
    if any(found.group(1) for found in _TRAILING.finditer(text)):
        return " (a comma stands before a closing bracket)"
    return ""


class _Level:
    """An object or a list that is open: which entry it is, and what it holds so far."""

    __slots__ = ("count", "entry", "key", "keys", "path")

    def __init__(self, path: tuple[str, ...], entry: int, *, mapping: bool) -> None:
        self.path = path
        self.entry = entry
        self.keys: set[str] | None = set() if mapping else None
        self.key: str | None = None
        self.count = 0


class _Scan:
    """Goes once through a text that is known to be JSON."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._found: list[Entry] = []
        self._levels: list[_Level] = []

    def entries(self) -> list[Entry]:
        """Every value, in the order of the file; the root itself is none."""
        for token in _TOKEN.finditer(self._text):
            string, mark, word = token.groups()
            if mark:
                self._mark(mark, token.start())
            elif string is not None and self._expects_key():
                self._name(string, token.start())
            elif string is not None:
                self._add(Kind.TEXT, _unquote(string), token.start(), token.end())
            else:
                kind, value = _WORDS.get(word) or (Kind.NUMBER, _number(word))
                self._add(kind, value, token.start(), token.end())
        return [entry for entry in self._found if entry.path]

    def _mark(self, mark: str, start: int) -> None:
        if mark in "{[":
            kind = Kind.TABLE if mark == "{" else Kind.LIST
            path = self._add(kind, None, start, start)
            self._levels.append(_Level(path, len(self._found) - 1, mapping=mark == "{"))
            if len(self._levels) > DEEPEST:
                raise UnreadableConfig(f"{self._file} nests more than {DEEPEST} levels")
        elif mark in "}]":
            level = self._levels.pop()
            opened = self._found[level.entry]
            self._found[level.entry] = Entry(
                path=opened.path,
                kind=opened.kind,
                value=level.count if mark == "]" else None,
                start=opened.start,
                end=start + 1,
            )

    def _expects_key(self) -> bool:
        return bool(self._levels) and self._levels[-1].keys is not None and not self._named()

    def _named(self) -> bool:
        return self._levels[-1].key is not None

    def _name(self, string: str, start: int) -> None:
        level, name = self._levels[-1], _unquote(string)
        known = level.keys if level.keys is not None else set()
        if name in known:
            line = self._text.count("\n", 0, start) + 1
            raise UnreadableConfig(
                f"{self._file}: the key {printable(name)!r} stands twice in one object (again in "
                f"line {line}); keep one of them",
                line=line,
            )
        known.add(name)
        level.key = name

    def _add(self, kind: Kind, value: float | str | None, start: int, end: int) -> tuple[str, ...]:
        path: tuple[str, ...] = ()
        if self._levels:
            level = self._levels[-1]
            path = (*level.path, f"[{level.count}]" if level.key is None else level.key)
            level.key = None
            level.count += 1
        self._found.append(Entry(path=path, kind=kind, value=value, start=start, end=end))
        return path


def _unquote(string: str) -> str:
    return str(json.loads(string)) if "\\" in string else string[1:-1]


def _number(word: str) -> float:
    return float(json.loads(word)) if set(word) & set(".eENI") else int(word)
