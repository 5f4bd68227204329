"""Parameters that jobs of every kind are asked with, and headers that they answer with."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Header, Path, Query

from service.store.tables import JobState

MAX_ID_CHARACTERS: Final = 40

JobId = Annotated[str, Path(description="Id of the job.", max_length=MAX_ID_CHARACTERS)]
StudyId = Annotated[str, Path(description="Id of the study.", max_length=MAX_ID_CHARACTERS)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items at most.")]
Cursor = Annotated[
    str | None, Query(max_length=64, description="`next_cursor` of the page before.")
]
InState = Annotated[JobState | None, Query(description="Only jobs in this state.")]
Wait = Annotated[
    float,
    Query(
        ge=0.0,
        le=86400.0,
        description=(
            "Seconds to wait, 60 at most: with `If-None-Match` for any change, else for the "
            "end of the job."
        ),
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="ETag of the state already known.")
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=255,
        examples=["7"],
        description="Id of the last event that was received: only what changed since is sent.",
    ),
]

ETAG: Final = {"ETag": {"description": "Revision of the job.", "schema": {"type": "string"}}}
LOCATION: Final = {"Location": {"description": "The job.", "schema": {"type": "string"}}}
RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}
ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    202: {"headers": {**LOCATION, **RETRY_AFTER, **ETAG}}
}
LOOKED_AT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"headers": {**ETAG, **RETRY_AFTER}},
    304: {"description": "Nothing has changed since the ETag that was given."},
}
CANCELLING: Final[dict[int | str, dict[str, Any]]] = {202: {"headers": {**ETAG, **RETRY_AFTER}}}
REMOVED: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "The job and all that belonged to it are gone."}
}


def spec_body(schema: str, **examples: tuple[str, Any]) -> dict[str, Any]:
    """Describe a body that is read strictly, outside of the framework.

    Args:
        schema: Name of its component.
        examples: A summary and a body by name.

    Returns:
        What the operation has in the document besides the framework's own.
    """
    shown = {name: {"summary": text, "value": body} for name, (text, body) in examples.items()}
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "examples": shown}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}
