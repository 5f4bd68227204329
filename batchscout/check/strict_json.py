"""JSON read strictly: what would be lost in silence is refused."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read_json(text: str) -> Any:
    """Read JSON in which no key stands twice and every number is finite.

    Args:
        text: A JSON document.

    Returns:
        Its values.

    Raises:
        ValueError: It is not such a document; a `json.JSONDecodeError` where a place is known.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_finite)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object; keep one of them")
        found[key] = value
    return found


def _finite(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
