"""Reading a spec from a file, strictly: what would be lost in silence is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn


class UnreadableSpec(Exception):
    """The file is not one JSON object; the message says where and what to change."""


def read_spec(name: str) -> Mapping[str, Any]:
    """Read a spec.

    Args:
        name: Path of the file, or `-` for standard input.

    Returns:
        The object in it, word for word.

    Raises:
        UnreadableSpec: There is no such file, it is not JSON, a key stands twice in one
            object, a number is NaN or infinite, or it is no object.
    """
    where = "standard input" if name == "-" else name
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        spec = json.loads(text, object_pairs_hook=_unique, parse_constant=_finite)
    except OSError as error:
        raise UnreadableSpec(f"{where} cannot be read: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        raise UnreadableSpec(
            f"{where} is not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UnreadableSpec(f"{where} is not a spec: {error}") from error
    if not isinstance(spec, dict):
        raise UnreadableSpec(f"{where} holds no JSON object: a spec begins with {{")
    return spec


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object; keep one of them")
        found[key] = value
    return found


def _finite(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number; use null or a finite number")
