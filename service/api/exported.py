"""An answer as text in the words of a framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Response

from service.api.recorded import recorded
from tuner.exports.registry import FORMATS, export
from tuner.recommendation import Recommendation

SCHEMAS: Final[Mapping[str, Any]] = {
    "application/yaml": {"description": "YAML with comments: take it as text."}
}
"""For a body whose schema would be held against what a reader makes of the text."""


def exported(answer: Recommendation, name: str) -> Response:
    """Answer with an export.

    Args:
        answer: As it is stored.
        name: Of the format; not `json`, which is the typed body.

    Returns:
        The text, with the media type of its format.
    """
    text = export(answer.model_dump(mode="json"), name).text
    return Response(text.encode(), media_type=FORMATS[name].media_type)


def bodies() -> dict[str, Any]:
    """Describe the bodies of the formats that are not the answer itself.

    Returns:
        From media types to schemas and to examples, one of each format, for the OpenAPI document.
    """
    answer = recorded()["get_recommendation"]
    found: dict[str, Any] = {}
    for one in FORMATS.values():
        if one.name == "json":
            continue
        schema = SCHEMAS.get(one.media_type, {"type": "string" if one.is_text else "object"})
        body = found.setdefault(one.media_type, {"schema": schema, "examples": {}})
        text = export(answer, one.name).text
        value = text if one.is_text else json.loads(text)
        body["examples"][one.name] = {"summary": one.summary, "value": value}
    return found
