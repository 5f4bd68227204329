"""YAML: every value with its way and its span, anchors and merged mappings read through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batchscout.check.configuration import Obstacle, UnreadableConfig
from batchscout.check.reading.entries import Entry, Kind, Trouble, printable
from batchscout.check.reading.yaml_nodes import Composer, Node
from batchscout.check.reading.yaml_numbers import Told, plain_value

MOST_ALIASED = 10_000
"""Values that are read through aliases and merged mappings; a bomb has more."""
_MERGE = "<<"
_STANDARD = "tag:yaml.org,2002:"
_NUMBER_TAGS = frozenset({f"{_STANDARD}int", f"{_STANDARD}float"})
_TOLD_TAGS = _NUMBER_TAGS | {f"{_STANDARD}{form}" for form in ("str", "seq", "map")}
_TABLE: Told = (Kind.TABLE, None, None)


def yaml_entries(file: str, text: str) -> list[Entry]:
    """Take a YAML text apart.

    Args:
        file: Name for messages.
        text: The file, without a byte-order mark.

    Raises:
        UnreadableConfig: It is no YAML, holds several documents or the same key twice, or its
            aliases stand for more than `MOST_ALIASED` values.
    """
    root = _compose(file, text)
    return list(_Walk(file, text).entries(root)) if root is not None else []


def _compose(file: str, text: str) -> Node | None:
    import yaml  # noqa: PLC0415 (JSON, TOML and Python files do without it)

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    composer = Composer(file)
    try:
        for event in yaml.parse(text, Loader=loader):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else None
        where = f"line {line}: " if line else ""
        raise UnreadableConfig(
            f"{file} is not YAML: {where}{printable(error.problem or error.context or 'unknown')}"
            f"{_advice(text, line)}",
            line=line,
        ) from error
    except yaml.YAMLError as error:
        raise UnreadableConfig(f"{file} is not YAML: {printable(str(error))}") from error
    return composer.root


def _advice(text: str, line: int | None) -> str:
    lines = text.splitlines()
    if line and line <= len(lines):
        told = lines[line - 1]
        if "\t" in told[: len(told) - len(told.lstrip())]:
            return " (a tab stands there; YAML is indented with spaces)"
        if "{%" in told or "{{" in told:
            return " (a template is read after it was filled in)"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """A node on a way to it, and through what it was reached."""

    node: Node
    path: tuple[str, ...]
    via: str | None


class _Walk:
    """Goes through the nodes of one file and counts what it reads through aliases."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._aliased = 0
        self._flat: dict[int, list[tuple[str, Node, str | None]]] = {}

    def entries(self, root: Node) -> Iterator[Entry]:
        """Every value, in the order of the file."""
        todo = [_Visit(node=root, path=(), via=None)]
        while todo:
            visit = self._resolve(todo.pop())
            if visit.path:
                yield self._entry(visit)
            todo.extend(reversed(self._inside(visit)))

    def _resolve(self, visit: _Visit) -> _Visit:
        node, via = visit.node, visit.via
        if node.target is not None:
            via, node = f"the alias *{node.text}", node.target
        if via is not None:
            self._aliased += 1
            if self._aliased > MOST_ALIASED:
                raise UnreadableConfig(
                    f"the aliases of {self._file} stand for more than {MOST_ALIASED} values"
                )
        return _Visit(node=node, path=visit.path, via=via)

    def _inside(self, visit: _Visit) -> list[_Visit]:
        node, path, via = visit.node, visit.path, visit.via
        if node.form == "list":
            return [
                _Visit(node=item, path=(*path, f"[{index}]"), via=via)
                for index, item in enumerate(node.items)
            ]
        if node.form == "mapping":
            return [
                _Visit(node=item, path=(*path, key), via=via or merged)
                for key, item, merged in self._pairs(node)
            ]
        return []

    def _pairs(self, node: Node) -> list[tuple[str, Node, str | None]]:
        """Keys and values of a mapping: its own, then what it merges and does not have."""
        if id(node) in self._flat:
            return self._flat[id(node)]
        found: dict[str, tuple[Node, str | None]] = {}
        merges: list[Node] = []
        for key, value in node.pairs():
            if key.form == "scalar" and key.plain and key.text == _MERGE:
                merges.append(value)
                continue
            name = self._name(key)
            if name in found:
                self._refuse_twice(name, key)
            found[name] = (value, None)
        for merged in merges:
            for source, via in self._sources(merged):
                for name, value, _ in self._pairs(source):
                    self._aliased += 1
                    found.setdefault(name, (value, via))
        pairs = [(name, value, via) for name, (value, via) in found.items()]
        self._flat[id(node)] = pairs
        return pairs

    def _sources(self, merged: Node) -> Iterator[tuple[Node, str]]:
        for node in merged.items if merged.form == "list" else [merged]:
            target = node.target or node
            if target.form != "mapping":
                line = self._text.count("\n", 0, node.start) + 1
                raise UnreadableConfig(
                    f"{self._file}, line {line}: << merges mappings, and this is none", line=line
                )
            yield target, f"the mapping *{node.text}" if node.target else "a merged mapping"

    def _name(self, key: Node) -> str:
        known = key.target or key
        return known.text if known.form == "scalar" else self._text[key.start : key.end]

    def _refuse_twice(self, name: str, key: Node) -> None:
        line = self._text.count("\n", 0, key.start) + 1
        raise UnreadableConfig(
            f"{self._file}: the key {printable(name)!r} stands twice in one mapping (again in "
            f"line {line}); keep one of them",
            line=line,
        )

    def _entry(self, visit: _Visit) -> Entry:
        node = visit.node
        kind, value, trouble = self._told(node)
        start = node.start
        if node.plain and self._text[node.end - len(node.text) : node.end] == node.text:
            start = node.end - len(node.text)  # the anchor is no part of the value
        return Entry(
            path=visit.path,
            kind=kind,
            value=value,
            start=start,
            end=node.end,
            trouble=trouble,
            unpatchable=_unpatchable(node, visit.via),
        )

    def _told(self, node: Node) -> Told:
        source = self._text[node.start : node.end]
        if node.tag is not None and node.tag not in _TOLD_TAGS:
            return Kind.CODE, source, _tagged(node.tag)
        if node.form == "list":
            return Kind.LIST, len(node.items), None
        if node.form == "mapping":
            # A template that was not filled in is by chance valid YAML.
            return (Kind.TEXT, source, None) if source.startswith("{{") else _TABLE
        if node.plain or node.tag in _NUMBER_TAGS:
            return plain_value(node.text)
        return Kind.TEXT, node.text, None


def _tagged(tag: str) -> Trouble:
    word = tag.replace(_STANDARD, "!!")
    if "env" in word.lower():
        clause = f"comes from the environment ({printable(word)})"
        return Trouble(obstacle=Obstacle.ENVIRONMENT, clause=clause)
    return Trouble(obstacle=Obstacle.COMPUTED, clause=f"is computed ({printable(word)})")


def _unpatchable(node: Node, via: str | None) -> str | None:
    if via is not None:
        return f"it is read through {printable(via)}, and others may be too"
    if node.anchor is not None:
        return f"it carries the anchor &{printable(node.anchor)}, which others may refer to"
    if node.tag is not None:
        return "a tag stands before it"
    return None
