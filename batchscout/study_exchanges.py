"""What is said to the service about batch-size studies beyond what is said about every job.

Watching, cancelling, deleting and following are the same for both: the id tells the kind.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from batchscout.addresses import STUDIES, address_of
from batchscout.asking import ask, call_of, json_of, once, unless_error
from batchscout.calls import Exchange
from batchscout.errors import UnexpectedAnswer
from batchscout.exchanges import OnProgress, wait
from batchscout.jobs import Job
from batchscout.study import StudySummary

FINDINGS_SECONDS: Final = 120.0
"""How long findings may take to be read and sent."""


def create_study(spec: Mapping[str, Any], *, callback_url: str | None = None) -> Exchange[Job]:
    """Queue a batch-size study, once, even where the reply is lost and the request sent again.

    Args:
        spec: The request, as plain JSON.
        callback_url: Where the service sends a signed message when the study has ended.

    Returns:
        The queued study; everything that is done with a job by its id is done with it as well.

    Raises:
        Refused: The spec has to change, or a key is needed.
        ServiceUnavailable: Nobody answers, or the queue is full.
    """
    query = {} if callback_url is None else {"callback_url": callback_url}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    call = call_of("POST", STUDIES, query=query, headers=headers, body=dict(spec))
    reply, _ = yield from once(call)
    return Job.read(json_of(unless_error(reply)))


def findings(study_id: str) -> Exchange[Mapping[str, Any]]:
    """Fetch all that a study found, curves and landscapes included: perhaps many megabytes.

    Args:
        study_id: The study.

    Returns:
        The findings as plain JSON.

    Raises:
        Refused: The study has no findings, or there is no such study.
    """
    call = call_of("GET", f"{address_of(study_id)}/findings", timeout_seconds=FINDINGS_SECONDS)
    found = json_of((yield from ask(call)))
    if not isinstance(found, Mapping):
        raise UnexpectedAnswer("the findings are no object")
    return found


def study(
    spec: Mapping[str, Any],
    on_progress: OnProgress | None = None,
    *,
    callback_url: str | None = None,
) -> Exchange[StudySummary]:
    """Queue a study, follow it, and return the summary of what it found.

    Args:
        spec: The request, as plain JSON.
        on_progress: Called with the study each time that it has changed.
        callback_url: Where the service sends a signed message when the study has ended.

    Returns:
        The summary.

    Raises:
        Refused: The spec has to change, or a key is needed.
        JobFailed: The study failed.
        JobCancelled: Somebody cancelled it.
    """
    queued = yield from create_study(spec, callback_url=callback_url)
    ended = yield from wait(queued.id, on_progress)
    return ended.require_summary()
