"""Python: keywords of calls and plain assignments, read from the syntax tree, never run.

A keyword of a call is `TrainingArguments(learning_rate)`, or `TrainingArguments#2(learning_rate)`
where the file makes several; a constant of the module is `BATCH`, one of a class `Config.batch`.
"""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from batchscout.check.configuration import Obstacle, UnreadableConfig
from batchscout.check.reading.entries import Entry, Kind, Trouble, line_starts, printable

CALL = "()"
"""The last part of the path of a call as a whole."""
MORE = "(**more)"
"""The last part of the path of `**more` in a call."""
POSITIONAL = "(*)"
"""The last part of the path of arguments without a name, from the second on."""


class _Written(NamedTuple):
    path: tuple[str, ...]
    value: ast.expr


def python_entries(file: str, text: str) -> list[Entry]:
    """Take a Python file apart.

    Args:
        file: Name for messages.
        text: The file, without a byte-order mark.

    Raises:
        UnreadableConfig: It is no Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the file's own escapes are not our concern
            tree = ast.parse(text)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise UnreadableConfig(
            f"{file} is not Python: {where}{printable(error.msg)}", line=error.lineno
        ) from error
    except (ValueError, MemoryError) as error:
        raise UnreadableConfig(f"{file} is not Python: {printable(str(error))}") from error
    spans = _Spans(text)
    written = [*_calls(tree), *_assignments(tree)]
    entries = [_entry(one, spans, text) for one in written]
    return sorted(entries, key=lambda entry: (entry.start, entry.end))


class _Spans:
    """Turns the lines and bytes of the syntax tree into offsets of characters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = line_starts(text)

    def of(self, node: ast.expr) -> tuple[int, int]:
        """Offset of the first character, and behind the last."""
        last = node.end_lineno or node.lineno
        end = node.end_col_offset if node.end_col_offset is not None else node.col_offset
        return self._offset(node.lineno, node.col_offset), self._offset(last, end)

    def _offset(self, line: int, column_bytes: int) -> int:
        start = self._starts[line - 1]
        # A character is at least one byte, so that this many characters hold the column.
        before = self._text[start : start + column_bytes].encode()[:column_bytes]
        return start + len(before.decode())


def _calls(tree: ast.Module) -> Iterator[_Written]:
    renamed = _renamed(tree)
    calls = [
        (name, node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (name := _called(node, renamed))
    ]
    calls.sort(key=lambda call: (call[1].lineno, call[1].col_offset))
    often = Counter(name for name, _ in calls)
    seen: Counter[str] = Counter()
    for name, node in calls:
        seen[name] += 1
        yield from _arguments(f"{name}#{seen[name]}" if often[name] > 1 else name, node)


def _arguments(name: str, call: ast.Call) -> Iterator[_Written]:
    yield _Written((name, CALL), call)
    for keyword in call.keywords:
        last = f"({keyword.arg})" if keyword.arg else MORE
        yield _Written((name, last), keyword.value)
    for value in call.args[1:]:
        yield _Written((name, POSITIONAL), value)
    if call.args and isinstance(call.args[0], ast.Starred):
        yield _Written((name, POSITIONAL), call.args[0])


def _called(call: ast.Call, renamed: dict[str, str]) -> str | None:
    match call.func:
        case ast.Name(id=name):
            return renamed.get(name, name)
        case ast.Attribute(attr=name):
            return name
        case _:
            return None


def _renamed(tree: ast.Module) -> dict[str, str]:
    """What `from a import B as C` says: C is B."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {one.asname: one.name for one in node.names if one.asname}
    return found


def _assignments(tree: ast.Module) -> Iterator[_Written]:
    for statement in tree.body:
        yield from _assigned(statement, "")
        if isinstance(statement, ast.ClassDef):
            for inner in statement.body:
                yield from _assigned(inner, f"{statement.name}.")
    for node in ast.walk(tree):  # `args.learning_rate = ...` changes what a call said
        for target, value in _targets(node):
            if isinstance(target, ast.Attribute):
                yield _Written((*_dotted(target.value), target.attr), value)


def _assigned(statement: ast.stmt, before: str) -> Iterator[_Written]:
    for target, value in _targets(statement):
        if isinstance(target, ast.Name):
            yield _Written((f"{before}{target.id}",), value)


def _targets(node: ast.AST) -> Sequence[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            return [(target, value) for target in targets]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return [(target, value)]
        case ast.AugAssign(target=target):  # the value is what comes out, not what stands there
            return [(target, target)]
        case _:
            return []


def _dotted(value: ast.expr) -> tuple[str, ...]:
    parts: list[str] = []
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    parts.append(value.id if isinstance(value, ast.Name) else "(...)")
    return tuple(reversed(parts))


def _entry(written: _Written, spans: _Spans, text: str) -> Entry:
    start, end = spans.of(written.value)
    kind, value, trouble = _told(written.value, text[start:end])
    if written.path[-1] in {CALL, MORE, POSITIONAL}:
        kind, value = Kind.CODE, text[start:end]
    return Entry(path=written.path, kind=kind, value=value, start=start, end=end, trouble=trouble)


def _told(node: ast.expr, source: str) -> tuple[Kind, float | str | None, Trouble | None]:
    sign = 1
    literal = node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -1 if isinstance(node.op, ast.USub) else 1
        literal = node.operand
    if isinstance(literal, ast.Constant):
        value = literal.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Kind.NUMBER, sign * value, None
        if literal is node:
            return _constant(value, source)
    if isinstance(node, ast.List | ast.Tuple):
        return Kind.LIST, len(node.elts), None
    if isinstance(node, ast.Dict):
        return Kind.TABLE, None, None
    clause = f"is computed: {printable(source)}"
    if "environ" in source or "getenv" in source:
        clause = f"comes from the environment: {printable(source)}"
        return Kind.CODE, source, Trouble(obstacle=Obstacle.ENVIRONMENT, clause=clause)
    return Kind.CODE, source, Trouble(obstacle=Obstacle.COMPUTED, clause=clause)


def _constant(value: object, source: str) -> tuple[Kind, float | str | None, Trouble | None]:
    if value is None:
        return Kind.NOTHING, None, None
    if isinstance(value, str):
        return Kind.TEXT, value, None
    return Kind.OTHER, source, None
