"""TOML: every value with its way and its span.

The standard parser decides what is TOML and what a value is; a scanner that can rely on that
finds where each stands.
"""

from __future__ import annotations

import re
from typing import Any

from batchscout.check.configuration import UnreadableConfig
from batchscout.check.reading.entries import DEEPEST, Entry, Kind, printable

_SKIP = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE_VALUE = re.compile(r"[^,\]}#\r\n]+")
_LINE = re.compile(r"line (\d+)")


def toml_entries(file: str, text: str) -> list[Entry]:
    """Take a TOML text apart.

    Args:
        file: Name for messages.
        text: The file, without a byte-order mark.

    Raises:
        UnreadableConfig: It is no TOML.
    """
    import tomllib  # noqa: PLC0415 (YAML, JSON and Python files do without it)

    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        raise UnreadableConfig(
            f"{file} is not TOML: {printable(str(error))}", line=int(line[1]) if line else None
        ) from error
    except ValueError as error:
        raise UnreadableConfig(f"{file} is not TOML: {printable(str(error))}") from error
    return _Scan(file, text, tree).entries()


class _Scan:
    """Goes once through a text that is known to be TOML."""

    def __init__(self, file: str, text: str, tree: dict[str, Any]) -> None:
        self._file = file
        self._text = text
        self._tree = tree
        self._at = 0
        self._table: tuple[str, ...] = ()
        self._counts: dict[tuple[str, ...], int] = {}
        self._found: list[Entry] = []

    def entries(self) -> list[Entry]:
        """Every value, in the order of the file."""
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                self._header()
            else:
                self._pair(self._table)
            self._skip()
        return self._found

    def _skip(self, pattern: re.Pattern[str] = _SKIP) -> None:
        self._at = self._take(pattern).end()

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise UnreadableConfig(f"{self._file}: no value at offset {self._at} could be placed")
        return found

    def _header(self) -> None:
        start = self._at
        repeated = self._text.startswith("[[", start)
        self._at += 2 if repeated else 1
        names = self._keys()
        path = self._element(names[:-1])
        self._table = (*path, names[-1])
        if repeated:
            self._counts[self._table] = self._counts.get(self._table, -1) + 1
        self._table = self._element((names[-1],), path)
        self._at = self._text.index("]", self._at) + (2 if repeated else 1)
        self._add(self._table, start, self._at)

    def _element(self, names: tuple[str, ...], path: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The way along names; an array of tables is entered at its last table."""
        for name in names:
            path = (*path, name)
            if path in self._counts:
                path = (*path, f"[{self._counts[path]}]")
        return path

    def _keys(self) -> tuple[str, ...]:
        import tomllib  # noqa: PLC0415 (as above; only quoted keys need it)

        names: list[str] = []
        while True:
            self._skip(_BLANK)
            quoted = self._text[self._at] in "\"'"
            word = self._take(_STRING if quoted else _BARE_KEY)
            name = word.group(0)
            names.append(tomllib.loads(f"k = {name}")["k"] if quoted else name)
            self._at = word.end()
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return tuple(names)
            self._at += 1

    def _pair(self, table: tuple[str, ...]) -> None:
        path = (*table, *self._keys())
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: tuple[str, ...]) -> None:
        if len(path) > DEEPEST:
            raise UnreadableConfig(f"{self._file} nests more than {DEEPEST} levels")
        start, first = self._at, self._text[self._at]
        if first in "[{":
            self._inside(path, close="]" if first == "[" else "}")
        elif first in "\"'":
            self._at = self._take(_STRING).end()
            self._add(path, start, self._at)
        else:
            word = self._take(_BARE_VALUE)
            self._at = word.end()
            self._add(path, start, start + len(word.group(0).rstrip()))

    def _inside(self, path: tuple[str, ...], *, close: str) -> None:
        start, index, count = self._at, len(self._found), 0
        self._at += 1
        self._skip()
        while self._text[self._at] != close:
            if close == "]":
                self._value((*path, f"[{count}]"))
            else:
                self._pair(path)
            count += 1
            self._skip()
        self._at += 1
        self._add(path, start, self._at, index)

    def _add(self, path: tuple[str, ...], start: int, end: int, index: int | None = None) -> None:
        kind, value = _told(_look_up(self._tree, path))
        entry = Entry(path=path, kind=kind, value=value, start=start, end=end)
        self._found.insert(len(self._found) if index is None else index, entry)


def _look_up(tree: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        tree = tree[int(part[1:-1])] if isinstance(tree, list) else tree[part]
    return tree


def _told(value: Any) -> tuple[Kind, float | str | None]:
    match value:
        case bool():
            return Kind.OTHER, str(value).lower()
        case int() | float():
            return Kind.NUMBER, value
        case str():
            return Kind.TEXT, value
        case list():
            return Kind.LIST, len(value)
        case dict():
            return Kind.TABLE, None
        case _:
            return Kind.OTHER, str(value)
