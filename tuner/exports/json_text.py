"""JSON whose floats a reader of YAML takes for the same numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tuner.exports.numbers import number


def json_text(value: object, indent: str = "\n") -> str:
    """Write JSON, indented by two spaces.

    Args:
        value: Plain JSON values; floats are finite.
        indent: What a line begins with, its newline included.

    Returns:
        The text, without a newline at the end.

    Raises:
        ValueError: A float is not finite.
    """
    deeper = indent + "  "
    if isinstance(value, Mapping) and value:
        members = (f"{_word(str(name))}: {json_text(one, deeper)}" for name, one in value.items())
        return f"{{{deeper}{f',{deeper}'.join(members)}{indent}}}"
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        items = (json_text(one, deeper) for one in value)
        return f"[{deeper}{f',{deeper}'.join(items)}{indent}]"
    text = _word(value)
    return number(value) if isinstance(value, float) else text


def _word(value: object) -> str:
    # Escapes keep it one line for every reader, and half surrogates out of the file.
    return json.dumps(value, allow_nan=False)
