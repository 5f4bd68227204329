"""What the API really answered once: the examples of responses in its document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any


def recorded() -> Mapping[str, Any]:
    """Read what `scripts/record-examples.py` recorded.

    Returns:
        Bodies of successful responses by the name of the operation. Long lists are cut.
    """
    text = resources.files("service.api").joinpath("recorded.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
