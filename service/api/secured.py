"""How the OpenAPI document says that keys are demanded; where they are not, it says nothing."""

from __future__ import annotations

from typing import Any, Final

from service.api.responses import problems
from service.api.security import OPEN
from service.problems import KINDS

SCHEME: Final = "key"

_CHALLENGE: Final = {
    "WWW-Authenticate": {"description": "How to send a key.", "schema": {"type": "string"}}
}


def secure(document: dict[str, Any]) -> None:
    """Add the bearer scheme, what needs it, and the refusal of everyone else.

    Args:
        document: An OpenAPI document, changed in place.
    """
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of `batchscout keys create`.",
    }
    document.setdefault("components", {})["securitySchemes"] = {SCHEME: scheme}
    refusal = problems("unauthenticated")[KINDS["unauthenticated"].status]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in OPEN else [{SCHEME: []}]
            if path not in OPEN:
                operation["responses"]["401"] = {**refusal, "headers": _CHALLENGE}
