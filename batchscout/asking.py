"""How a call is made until it has a reply, and how a reply is read, without input or output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from batchscout.calls import REPLY_SECONDS, Call, Exchange, Outcome, Reply, Rest, Unreachable
from batchscout.errors import Problem, Refused, ServiceUnavailable, UnexpectedAnswer

RESTS_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0)
"""Rests between tries while a service is away: a restart is waited for, no more."""
NOT_NOW: Final = frozenset({429, 502, 503, 504})
HTTP_NOT_MODIFIED: Final = 304
HTTP_ERROR: Final = 400
HTTP_NOT_FOUND: Final = 404
HTTP_CONFLICT: Final = 409
HTTP_TOO_MANY: Final = 429
HTTP_SERVER_ERROR: Final = 500
HTTP_BAD_GATEWAY: Final = 502
HTTP_GATEWAY_TIMEOUT: Final = 504


def call_of(
    method: str,
    path: str,
    *,
    query: Mapping[str, str | int | float] | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    timeout_seconds: float = REPLY_SECONDS,
) -> Call:
    """Make a call that accepts JSON and problems; see `Call` for the arguments."""
    return Call(
        method=method,
        path=path,
        query=dict(query or {}),
        headers={"Accept": "application/json, application/problem+json", **(headers or {})},
        body=body,
        timeout_seconds=timeout_seconds,
    )


def ask(call: Call) -> Exchange[Reply]:
    """Make a call, again after a rest while the service is away, and read a refusal."""
    for rest in (*RESTS_SECONDS, None):
        outcome = yield call
        if isinstance(outcome, Reply) and outcome.status not in NOT_NOW:
            return unless_error(outcome)
        if rest is None:
            raise ServiceUnavailable(why_not_now(outcome))
        yield Rest(seconds=rest)
    raise AssertionError("the last rest is None")


def once(call: Call) -> Exchange[tuple[Reply, bool]]:
    """Make a call that changes something, again only where its reply was lost.

    Returns:
        The reply, which may be a refusal, and whether an earlier one was lost.

    Raises:
        ServiceUnavailable: Nobody answers, or not now; then nothing was changed, unless the
            reply was lost to the last.
    """
    lost = False
    for rest in (*RESTS_SECONDS, None):
        outcome = yield call
        waits = _still_answering(outcome)
        if isinstance(outcome, Reply) and outcome.status not in NOT_NOW and not waits:
            return outcome, lost
        lost = lost or _may_have_arrived(outcome)
        full = isinstance(outcome, Reply) and outcome.status == HTTP_TOO_MANY
        if rest is None or full or not (lost or waits):
            raise ServiceUnavailable(why_not_now(outcome))
        yield Rest(seconds=rest)
    raise AssertionError("the last rest is None")


def _may_have_arrived(outcome: Outcome) -> bool:
    if isinstance(outcome, Reply):  # a gateway lost the reply, or never got one
        return outcome.status in {HTTP_BAD_GATEWAY, HTTP_GATEWAY_TIMEOUT}
    return isinstance(outcome, Unreachable) and outcome.sent


def _still_answering(outcome: Outcome) -> bool:
    """Whether the service is still busy with the request whose reply was lost."""
    if not isinstance(outcome, Reply) or outcome.status != HTTP_CONFLICT:
        return False
    return problem_of(outcome).code == "idempotency_key_in_use"


def why_not_now(outcome: Outcome) -> str:
    """Say why a call may be made again later."""
    if isinstance(outcome, Reply):
        return f"the service cannot answer now: {problem_of(outcome).detail}"
    reason = outcome.reason if outcome else "no reason was given"
    return f"nobody answers: {reason}. Is `batchscout serve` running there?"


def unless_error(reply: Reply) -> Reply:
    """Return a reply that is no error.

    Raises:
        Refused: The request has to change.
        UnexpectedAnswer: The service broke down.
    """
    if reply.status < HTTP_ERROR:
        return reply
    problem = problem_of(reply)
    if reply.status >= HTTP_SERVER_ERROR:
        raise UnexpectedAnswer(f"the service broke down ({reply.status}): {problem.detail}")
    raise Refused(problem)


def problem_of(reply: Reply) -> Problem:
    """Read why there is no better reply; something that is no problem document says little."""
    try:
        document = json.loads(reply.content)
    except ValueError:
        document = None
    if not isinstance(document, Mapping):
        document = {"title": f"HTTP status {reply.status} without a reason"}
    return Problem.read(document, status=reply.status)


def json_of(reply: Reply) -> Any:
    """Read a body.

    Raises:
        UnexpectedAnswer: It is no JSON.
    """
    try:
        return json.loads(reply.content)
    except ValueError as error:
        raise UnexpectedAnswer("what answers there does not speak JSON") from error
