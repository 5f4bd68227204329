"""How a stream of events is described: one that a browser's `EventSource` reads."""

from __future__ import annotations

from typing import Any, Final

from service.api.event_stream import MEDIA_TYPE

TELLS: Final = (
    "Events are `trial` (one that was trained, as it is listed elsewhere), `job` (as it is shown "
    "elsewhere, without its `spec`), `reset` (forget what you know, all of it follows) and `end` "
    "(with the last `state`, or `deleted`; close the connection). They tell states, not steps: "
    "who falls behind gets the newest one. The id is the revision of the job. The connection "
    "stays open for as long as the job lasts: programs that only wait for its end do so more "
    "simply with `?wait=`."
)
"""What every stream tells."""


def shown_stream(example: str) -> dict[str, Any]:
    """Describe the response that is a stream.

    Args:
        example: Some of its events, as they are written.

    Returns:
        The response of an operation.
    """
    shown = {"some": {"summary": "Some of the events", "value": example}}
    content = {MEDIA_TYPE: {"schema": {"type": "string"}, "examples": shown}}
    return {"description": "Events, until the job has ended.", "content": content}
