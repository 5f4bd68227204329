"""One spelling of JSON values, and its digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Write JSON the one way that two machines agree on: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """Digest plain JSON values.

    Args:
        value: Plain JSON values.

    Returns:
        `sha256:` and the hexadecimal digest of the canonical JSON.
    """
    return "sha256:" + hashlib.sha256(canonical_json(value).encode()).hexdigest()
