"""A YAML text as nodes, made from the parser's events.

The parser's own composer puts the anchored node in the place of every alias. Here an alias
stays one, so that nothing is copied and it is known which value was written where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from batchscout.check.configuration import UnreadableConfig
from batchscout.check.reading.entries import DEEPEST


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """A scalar, a list, a mapping, or an alias of one of these.

    Args:
        form: `scalar`, `list`, `mapping` or `alias`.
        start: Offset of its first character, its anchor and tag included.
        end: Offset behind its last one.
        text: The scalar's content, or the alias's name.
        plain: Whether the scalar stands without quotes and tag.
        tag: What was written with `!`; None without.
        anchor: Its name, if others can refer to it.
        items: What it holds; in a mapping keys and values by turns.
        target: Which node an alias stands for.
    """

    form: str
    start: int
    end: int
    text: str = ""
    plain: bool = False
    tag: str | None = None
    anchor: str | None = None
    items: list[Node] = field(default_factory=list)
    target: Node | None = None

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """The keys and values of a mapping."""
        return zip(self.items[::2], self.items[1::2], strict=True)


class Composer:
    """Builds the nodes of one document.

    Args:
        file: Name for messages.
    """

    def __init__(self, file: str) -> None:
        self.root: Node | None = None
        self._file = file
        self._open: list[Node] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def take(self, event: Any) -> None:
        """Add what one event of the parser says."""
        match type(event).__name__:
            case "DocumentStartEvent":
                self._begin(event)
            case "AliasEvent":
                self._add(self._alias(event))
            case "ScalarEvent":
                plain = event.style in {None, ""} and event.tag in {None, ""}
                node = self._node(event, "scalar")
                node.text, node.plain = event.value, plain
                self._add(node)
            case "SequenceStartEvent":
                self._enter(self._node(event, "list"))
            case "MappingStartEvent":
                self._enter(self._node(event, "mapping"))
            case "SequenceEndEvent" | "MappingEndEvent":
                self._open.pop().end = event.end_mark.index

    def _begin(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            line = event.start_mark.line + 1
            raise UnreadableConfig(
                f"{self._file} holds several YAML documents (the second from line {line}); "
                "keep one in a file",
                line=line,
                untold=True,
            )

    def _node(self, event: Any, form: str) -> Node:
        node = Node(form=form, start=event.start_mark.index, end=event.end_mark.index)
        node.tag, node.anchor = event.tag or None, event.anchor
        if node.anchor:
            self._anchors[node.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        line = event.start_mark.line + 1
        target = self._anchors.get(event.anchor)
        if target is None:
            raise UnreadableConfig(
                f"{self._file}, line {line}: *{event.anchor} refers to no anchor above", line=line
            )
        if target in self._open:
            raise UnreadableConfig(
                f"{self._file}, line {line}: *{event.anchor} contains itself", line=line
            )
        node = Node(form="alias", start=event.start_mark.index, end=event.end_mark.index)
        node.text, node.target = event.anchor, target
        return node

    def _enter(self, node: Node) -> None:
        self._add(node)
        self._open.append(node)
        if len(self._open) > DEEPEST:
            raise UnreadableConfig(f"{self._file} nests more than {DEEPEST} levels")

    def _add(self, node: Node) -> None:
        if self._open:
            self._open[-1].items.append(node)
        else:
            self.root = node
