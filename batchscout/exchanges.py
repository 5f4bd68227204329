"""What is said to the service and how its replies are read, without any input or output.

Each exchange is a generator: it yields a `Call` to be made or a `Rest` to be taken, is sent
the `Reply` (or `Unreachable`), and returns what it was asked for. The sync and the async
client drive the same generators, so that neither repeats a rule of the other.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from batchscout.addresses import ESTIMATES, JOBS, address_of, is_study
from batchscout.answer import Answer
from batchscout.asking import (
    HTTP_GATEWAY_TIMEOUT,
    HTTP_NOT_FOUND,
    HTTP_NOT_MODIFIED,
    NOT_NOW,
    ask,
    call_of,
    json_of,
    once,
    problem_of,
    unless_error,
    why_not_now,
)
from batchscout.calls import REPLY_SECONDS, Exchange, Reply, Rest
from batchscout.errors import Refused, ServiceUnavailable, UnexpectedAnswer
from batchscout.estimate import Estimate, request_of
from batchscout.jobs import Job

STUDIES: Final = "/v1/batch-size-studies"
ESTIMATE_SECONDS: Final = 180.0
"""How long an estimate may take, the wait for others included."""
LONG_POLL_SECONDS: Final = 30.0
SILENCE_SECONDS: Final = 60.0
"""Silence after which a stream is taken for broken: the service's heartbeats come sooner."""
EVENT_STREAM: Final = "text/event-stream"
PAGE_SIZE: Final = 100


OnProgress: TypeAlias = Callable[[Job], None]


def create(
    spec: Mapping[str, Any],
    *,
    force: bool = False,
    callback_url: str | None = None,
    idempotency_key: str | None = None,
) -> Exchange[Job]:
    """Queue a job. It is queued once, even where the reply is lost and the request sent again.

    Args:
        spec: The request, as plain JSON.
        force: Have it measured even where the same request was answered before.
        callback_url: Where the service sends a signed message when the job has ended.
        idempotency_key: The same request under the same key leads to the same job, also from
            another process; a key of this call alone by default.

    Returns:
        The queued job, or the one that the key has led to before.

    Raises:
        Refused: The spec has to change, or a key is needed.
        ServiceUnavailable: Nobody answers, or the queue is full.
    """
    query: dict[str, str | int | float] = {"force": "true"} if force else {}
    if callback_url is not None:
        query["callback_url"] = callback_url
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    call = call_of("POST", JOBS, query=query, headers=headers, body=dict(spec))
    reply, _ = yield from once(call)
    return Job.read(json_of(unless_error(reply)))


def job(job_id: str) -> Exchange[Job]:
    """Look at a job as it is now.

    Args:
        job_id: The job.

    Returns:
        The job.

    Raises:
        Refused: There is no such job.
    """
    reply = yield from ask(call_of("GET", address_of(job_id)))
    return Job.read(json_of(reply))


def wait(
    job_id: str,
    on_progress: OnProgress | None = None,
    *,
    seconds_left: Callable[[], float] | None = None,
) -> Exchange[Job]:
    """Follow a job until it has ended, or for as long as is left.

    Args:
        job_id: The job.
        on_progress: Called with the job each time that it has changed.
        seconds_left: How much longer to wait, asked anew before each call; None for no end.

    Returns:
        The job in its terminal state, or as it is when nothing is left.

    Raises:
        Refused: There is no such job.
    """
    call, seen = call_of("GET", address_of(job_id)), None
    while True:
        reply = yield from ask(call)
        if reply.status != HTTP_NOT_MODIFIED or seen is None:
            seen = Job.read(json_of(reply))
            if on_progress is not None:
                on_progress(seen)
        left = LONG_POLL_SECONDS if seconds_left is None else seconds_left()
        if seen.is_terminal or left <= 0.0:
            return seen
        etag = reply.headers.get("etag")
        if etag is None:  # an intermediary took it away: polling without it must not spin
            yield Rest(seconds=min(1.0, left))
            continue
        call = call_of(
            "GET",
            address_of(job_id),
            query={"wait": min(LONG_POLL_SECONDS, left)},
            headers={"If-None-Match": etag},
            timeout_seconds=LONG_POLL_SECONDS + REPLY_SECONDS,
        )


def cancel(job_id: str) -> Exchange[Job]:
    """Have a job stopped; one that has ended stays as it is.

    Args:
        job_id: The job.

    Returns:
        The job, mostly still `cancelling`.

    Raises:
        Refused: There is no such job.
    """
    reply = yield from ask(call_of("POST", f"{address_of(job_id)}/cancel"))
    return Job.read(json_of(reply))


def delete(job_id: str) -> Exchange[None]:
    """Remove a job that has ended, with all that the service keeps of it.

    Args:
        job_id: The job.

    Raises:
        Refused: It has not ended (`not_finished`), or there is no such job.
        ServiceUnavailable: Nobody answers.
    """
    reply, repeated = yield from once(call_of("DELETE", address_of(job_id)))
    if not (repeated and reply.status == HTTP_NOT_FOUND):  # else the first one removed it
        unless_error(reply)


def trials(job_id: str) -> Exchange[list[Mapping[str, Any]]]:
    """List the trials of a job, or the runs of a study, over all pages.

    Args:
        job_id: The job.

    Returns:
        All of them as plain JSON, in the order in which they began.

    Raises:
        Refused: There is no such job.
    """
    found: list[Mapping[str, Any]] = []
    listed = "runs" if is_study(job_id) else "trials"
    query: dict[str, str | int | float] = {"limit": PAGE_SIZE}
    while True:
        reply = yield from ask(call_of("GET", f"{address_of(job_id)}/{listed}", query=query))
        page = json_of(reply)
        if not isinstance(page, Mapping) or not isinstance(page.get("items"), list):
            raise UnexpectedAnswer("the list of trials has no items")
        found.extend(page["items"])
        if not page.get("next_cursor"):
            return found
        query["cursor"] = page["next_cursor"]


def events(job_id: str, last_event_id: str) -> Exchange[bool]:
    """Open the stream of a job's events; what comes on it is for `batchscout.events`.

    Args:
        job_id: The job.
        last_event_id: Of the connection before; empty for the first one.

    Returns:
        Whether the stream is open; False if the job was deleted since the connection before.

    Raises:
        Refused: There is no such job.
        ServiceUnavailable: Nobody answers, or too many streams are open.
        UnexpectedAnswer: What answers is no stream.
    """
    headers = {"Accept": f"{EVENT_STREAM}, application/problem+json", "Cache-Control": "no-store"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    call = call_of(
        "GET", f"{address_of(job_id)}/events", headers=headers, timeout_seconds=SILENCE_SECONDS
    )
    try:
        reply = yield from ask(call)
    except Refused as error:
        if last_event_id and error.problem.status == HTTP_NOT_FOUND:
            return False
        raise
    if not reply.headers.get("content-type", "").startswith(EVENT_STREAM):
        raise UnexpectedAnswer("what answers there does not stream events")
    return True


def recommendation(job_id: str) -> Exchange[Answer]:
    """Fetch the answer of a job that has one.

    Args:
        job_id: The job.

    Returns:
        The answer.

    Raises:
        Refused: The job has no answer, or there is no such job.
    """
    reply = yield from ask(call_of("GET", f"{address_of(job_id)}/recommendation"))
    return Answer.read(json_of(reply))


def report(job_id: str, form: str) -> Exchange[str]:
    """Fetch all that a tuning job or a study has shown, as one file.

    Args:
        job_id: The job, or the study.
        form: `html`, `md` or `json`.

    Raises:
        Refused: There is no such job.
    """
    query = {"format": form}
    call = call_of("GET", f"{address_of(job_id)}/report", query=query, headers={"Accept": "*/*"})
    return (yield from ask(call)).content.decode()


def export(job_id: str, format_name: str) -> Exchange[str]:
    """Fetch the answer of a job in the words of a framework.

    Args:
        job_id: The job.
        format_name: As the service lists them: `hf`, `deepspeed`, `dotenv` and others.

    Returns:
        Text to be saved or pasted.

    Raises:
        Refused: There is no such format or job, or the job has no answer.
        UnexpectedAnswer: What answers there does not speak UTF-8.
    """
    query = {"format": format_name}
    accepted = {"Accept": "*/*"}
    address = f"{address_of(job_id)}/recommendation"
    reply = yield from ask(call_of("GET", address, query=query, headers=accepted))
    try:
        return reply.content.decode()
    except UnicodeDecodeError as error:
        raise UnexpectedAnswer("what answers there does not speak UTF-8") from error


def tune(
    spec: Mapping[str, Any],
    on_progress: OnProgress | None = None,
    *,
    force: bool = False,
    callback_url: str | None = None,
) -> Exchange[Answer]:
    """Queue a job, follow it, and return its answer.

    Args:
        spec: The request, as plain JSON.
        on_progress: Called with the job each time that it has changed.
        force: Have it measured even where the same request was answered before.
        callback_url: Where the service sends a signed message when the job has ended.

    Returns:
        The answer.

    Raises:
        Refused: The spec has to change, or a key is needed.
        JobFailed: The job failed.
        JobCancelled: Somebody cancelled it.
    """
    queued = yield from create(spec, force=force, callback_url=callback_url)
    ended = yield from wait(queued.id, on_progress)
    return ended.require_answer()


def estimate(
    spec: Mapping[str, Any], gpus: Sequence[str], micro_batch_size: int | None = None
) -> Exchange[Estimate]:
    """Predict what fits cards that are not here.

    Args:
        spec: The request of a tuning job, as plain JSON; only what concerns memory is used.
        gpus: Names of cards, as `/v1/catalog` lists them.
        micro_batch_size: The size that the verdicts shall be about; None for one sample.

    Returns:
        The estimate.

    Raises:
        Refused: The spec has to change, there is no such card, or, with the code
            `model_not_traceable`, the workload's memory cannot be predicted.
        ServiceUnavailable: Nobody answers, or others are being served.
        UnexpectedAnswer: The prediction took too long, or its process died.
    """
    body = request_of(spec, gpus, micro_batch_size)
    outcome = yield call_of("POST", ESTIMATES, body=body, timeout_seconds=ESTIMATE_SECONDS)
    if isinstance(outcome, Reply) and outcome.status == HTTP_GATEWAY_TIMEOUT:
        raise UnexpectedAnswer(f"no prediction was made: {problem_of(outcome).detail}")
    if isinstance(outcome, Reply) and outcome.status not in NOT_NOW:
        return Estimate.read(json_of(unless_error(outcome)))
    raise ServiceUnavailable(why_not_now(outcome))
