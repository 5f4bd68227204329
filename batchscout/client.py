"""The HTTP client, sync and async: plain mappings in, typed answers out.

Both drive the same exchanges (`batchscout.exchanges`); all that differs is how a call is made
and how a rest is taken. Neither needs torch, FastAPI or pydantic.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from batchscout import exchanges, study_exchanges
from batchscout.answer import Answer
from batchscout.async_client import AsyncClient
from batchscout.calls import Call, Exchange, Outcome, Rest
from batchscout.connection import (
    DEFAULT_URL,
    KEY_VARIABLE,
    arguments_of,
    bearer,
    begun,
    is_remote,
    reply_of,
    unreachable,
)
from batchscout.estimate import Estimate
from batchscout.events import Event, Following
from batchscout.exchanges import OnProgress
from batchscout.jobs import Job
from batchscout.study import StudySummary

__all__ = ["DEFAULT_URL", "KEY_VARIABLE", "AsyncClient", "Client"]

T = TypeVar("T")


class Client:
    """A batchscout service, asked synchronously. Close it, or use it in a `with` block.

    Args:
        url: Address of the service.
        key: Key of the service; None reads `BATCHSCOUT_KEY`, and sends none where that is unset.
        transport: Another way of sending requests than over the network, for tests.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=url, headers=bearer(key), transport=transport, trust_env=is_remote(url)
        )

    def create(
        self,
        spec: Mapping[str, Any],
        *,
        force: bool = False,
        callback_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Queue a job; see `batchscout.exchanges.create`."""
        return self._drive(
            exchanges.create(
                spec, force=force, callback_url=callback_url, idempotency_key=idempotency_key
            )
        )

    def job(self, job_id: str) -> Job:
        """Look at a job as it is now; see `batchscout.exchanges.job`."""
        return self._drive(exchanges.job(job_id))

    def wait(
        self,
        job_id: str,
        on_progress: OnProgress | None = None,
        *,
        seconds_left: Callable[[], float] | None = None,
    ) -> Job:
        """Follow a job until it has ended; see `batchscout.exchanges.wait`."""
        return self._drive(exchanges.wait(job_id, on_progress, seconds_left=seconds_left))

    def events(self, job_id: str) -> Iterator[Event]:
        """Follow a job and its trials until it has ended, over broken connections too.

        Args:
            job_id: The job.

        Yields:
            What is new; see `batchscout.events`. `wait` is enough for who needs the end alone.

        Raises:
            Refused: There is no such job.
            ServiceUnavailable: Nobody answers any more.
        """
        following = Following()
        while not following.ended:
            with self._stream(job_id, following.last_event_id) as response:
                if response is None:
                    yield following.gone()
                    return
                # Where a connection breaks, the next one shows what is wrong.
                with contextlib.suppress(httpx.TransportError):
                    for chunk in response.iter_bytes():
                        yield from following.receive(chunk)
                        if following.ended:
                            return
            time.sleep(following.lost())

    def cancel(self, job_id: str) -> Job:
        """Have a job stopped; see `batchscout.exchanges.cancel`."""
        return self._drive(exchanges.cancel(job_id))

    def delete(self, job_id: str) -> None:
        """Remove a job that has ended; see `batchscout.exchanges.delete`."""
        self._drive(exchanges.delete(job_id))

    def trials(self, job_id: str) -> list[Mapping[str, Any]]:
        """List a job's trials; see `batchscout.exchanges.trials`."""
        return self._drive(exchanges.trials(job_id))

    def recommendation(self, job_id: str) -> Answer:
        """Fetch a job's answer; see `batchscout.exchanges.recommendation`."""
        return self._drive(exchanges.recommendation(job_id))

    def report(self, job_id: str, form: str = "html") -> str:
        """Fetch a job's report; see `batchscout.exchanges.report`."""
        return self._drive(exchanges.report(job_id, form))

    def export(self, job_id: str, format_name: str) -> str:
        """Fetch a job's answer for a framework; see `batchscout.exchanges.export`."""
        return self._drive(exchanges.export(job_id, format_name))

    def tune(
        self,
        spec: Mapping[str, Any],
        on_progress: OnProgress | None = None,
        *,
        force: bool = False,
        callback_url: str | None = None,
    ) -> Answer:
        """Queue a job, follow it, return its answer; see `batchscout.exchanges.tune`."""
        return self._drive(
            exchanges.tune(spec, on_progress, force=force, callback_url=callback_url)
        )

    def create_study(self, spec: Mapping[str, Any], *, callback_url: str | None = None) -> Job:
        """Queue a batch-size study; see `batchscout.study_exchanges.create_study`."""
        return self._drive(study_exchanges.create_study(spec, callback_url=callback_url))

    def study(
        self,
        spec: Mapping[str, Any],
        on_progress: OnProgress | None = None,
        *,
        callback_url: str | None = None,
    ) -> StudySummary:
        """Queue a study, follow it, return its summary; see `batchscout.study_exchanges.study`."""
        return self._drive(study_exchanges.study(spec, on_progress, callback_url=callback_url))

    def findings(self, study_id: str) -> Mapping[str, Any]:
        """Fetch all that a study found; see `batchscout.study_exchanges.findings`."""
        return self._drive(study_exchanges.findings(study_id))

    def estimate(
        self, spec: Mapping[str, Any], gpus: Sequence[str], micro_batch_size: int | None = None
    ) -> Estimate:
        """Predict what fits some cards; see `batchscout.exchanges.estimate`."""
        return self._drive(exchanges.estimate(spec, gpus, micro_batch_size))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    @contextlib.contextmanager
    def _stream(self, job_id: str, last_event_id: str) -> Iterator[httpx.Response | None]:
        with contextlib.ExitStack() as connections:
            opened: list[httpx.Response] = []

            def open_stream(call: Call) -> Outcome:
                try:
                    stream = self._http.stream(**arguments_of(call))
                    response = connections.enter_context(stream)
                    if not response.is_success:
                        response.read()
                        return reply_of(response)
                except httpx.TransportError as error:
                    return unreachable(self._http.base_url, error)
                opened.append(response)
                return begun(response)

            exchange = exchanges.events(job_id, last_event_id)
            yield opened[-1] if self._drive(exchange, open_stream) else None

    def _drive(self, exchange: Exchange[T], make: Callable[[Call], Outcome] | None = None) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = exchange.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer
            if isinstance(step, Rest):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = (make or self._make)(step)

    def _make(self, call: Call) -> Outcome:
        try:
            return reply_of(self._http.request(**arguments_of(call)))
        except httpx.TransportError as error:
            return unreachable(self._http.base_url, error)
