"""What a job's stream of events tells, and how it is followed over broken connections.

The service tells states, not steps: each event says how something is now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from batchscout.errors import ServiceUnavailable, UnexpectedAnswer
from batchscout.jobs import Job
from batchscout.sse import Decoder, Message

REST_SECONDS: Final = 2.0
"""Rest before the next connection where the service does not say how long."""

LONGEST_REST_SECONDS: Final = 60.0
MOST_FRUITLESS: Final = 10
"""Connections in a row that were opened and brought nothing."""

DELETED: Final = "deleted"
"""State in the `Ended` of a job that is not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """The job as it is now; its document has no `spec`."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialChanged:
    """A trial as it is now, as plain JSON; `number` says which."""

    trial: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Forget what you know of the job: all of it follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Nothing follows.

    Args:
        state: `succeeded`, `failed`, `cancelled` or `deleted`.
    """

    state: str


Event: TypeAlias = JobChanged | TrialChanged | Reset | Ended


class Following:
    """What is known while one job is followed, from connection to connection.

    Attributes:
        ended: Whether the last event has been read.
    """

    def __init__(self) -> None:
        self.ended = False
        self._decoder = Decoder()
        self._fruitless = 0
        self._came = False

    @property
    def last_event_id(self) -> str:
        """What the next connection begins with; empty for a fresh one."""
        return self._decoder.last_event_id

    def receive(self, chunk: bytes) -> Iterator[Event]:
        """Read what has arrived.

        Args:
            chunk: Bytes of the present connection.

        Yields:
            The events that it completes; those of types that are not known are left out.

        Raises:
            UnexpectedAnswer: This is no stream of a batchscout service.
        """
        self._came = True
        for message in self._decoder.feed(chunk):
            event = _read(message)
            if event is None:
                continue
            self.ended = isinstance(event, Ended)
            yield event
            if self.ended:
                return

    def lost(self) -> float:
        """Prepare for the next connection, since this one has ended.

        Returns:
            Seconds to rest before.

        Raises:
            ServiceUnavailable: Too many connections brought nothing.
        """
        self._fruitless = 0 if self._came else self._fruitless + 1
        if self._fruitless >= MOST_FRUITLESS:
            raise ServiceUnavailable(
                f"the stream of events broke off {self._fruitless} times before anything came"
            )
        self._came = False
        rest = self._decoder.retry_seconds
        self._decoder = Decoder(self._decoder.last_event_id)
        self._decoder.retry_seconds = rest
        return min(REST_SECONDS if rest is None else rest, LONGEST_REST_SECONDS)

    def gone(self) -> Event:
        """Note that the job was deleted between two connections."""
        self.ended = True
        return Ended(state=DELETED)


def _read(message: Message) -> Event | None:
    try:
        data = json.loads(message.data)
    except ValueError as error:
        raise UnexpectedAnswer("what answers there does not send JSON in its events") from error
    match message.event, data:
        case "job", _:
            return JobChanged(job=Job.read(data))
        case "trial", {"number": int()}:
            return TrialChanged(trial=data)
        case "reset", _:
            return Reset()
        case "end", {"state": str(state)}:
            return Ended(state=state)
        case (("trial" | "end"), _):
            raise UnexpectedAnswer(f"an event of type {message.event} lacks what it is about")
        case _:
            return None
