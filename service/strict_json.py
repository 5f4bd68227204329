"""Read a body as JSON, refusing everything that two readers could understand differently.

Duplicate keys, NaN, infinities, numbers that no double holds, text that is no Unicode and
nesting without end are refused before anything else looks at the body.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

from service.problems import ProblemError


def parse(body: bytes, *, max_depth: int) -> Any:
    """Read one JSON value.

    Args:
        body: The bytes of the body.
        max_depth: Arrays and objects inside one another, at most.

    Returns:
        Plain JSON values.

    Raises:
        ProblemError: `invalid_json`, with a sentence that says what to change.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        raise ProblemError("invalid_json", f"Write the body in UTF-8: {error}.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ProblemError("invalid_json", f"{error.msg} at {where}.") from error
    except RecursionError as error:
        raise _too_deep(max_depth) from error
    _check_texts_and_depth(value, max_depth)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ProblemError("invalid_json", f"The key {twice[:60]!r} occurs twice: write it once.")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ProblemError("invalid_json", f"{name} is not JSON: write a finite number or null.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ProblemError("invalid_json", f"The number {text[:32]} is too large to be held.")
    return value


def _integer(text: str) -> int:
    # Longer ones are no double any more, and Python itself refuses those over 4300 digits.
    if len(text) > len(str(-(2**63))):
        raise ProblemError("invalid_json", f"The integer {text[:32]}... is too long to be held.")
    return int(text)


def _too_deep(max_depth: int) -> ProblemError:
    return ProblemError(
        "invalid_json", f"The body nests more than {max_depth} arrays and objects: flatten it."
    )


def _check_texts_and_depth(value: Any, max_depth: int) -> None:
    pending = [(value, 1)]
    while pending:
        node, depth = pending.pop()
        if isinstance(node, str):
            _check_text(node)
        elif isinstance(node, dict | list):
            if depth > max_depth:
                raise _too_deep(max_depth)
            pending.extend((child, depth + 1) for child in _children(node))


def _children(node: dict[str, Any] | list[Any]) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.keys()
        yield from node.values()
    else:
        yield from node


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ProblemError("invalid_json", "A text holds the NUL character: leave it out.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ProblemError(
            "invalid_json", "A text holds half of a surrogate pair, which is no character."
        ) from error
