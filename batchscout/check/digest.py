"""The digest of a spec, as the service takes it."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """Digest plain JSON values; the very digest that an answer carries of its spec.

    Args:
        value: Plain JSON values.

    Returns:
        `sha256:` and the hexadecimal digest of the one spelling of these values.
    """
    spelling = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(spelling.encode()).hexdigest()
