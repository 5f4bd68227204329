"""The HTTP client, sync and async: plain mappings in, typed answers out.

Both drive the same exchanges (`batchscout.exchanges`); all that differs is how a call is made
and how a rest is taken. Neither needs torch, FastAPI or pydantic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from batchscout import exchanges
from batchscout.answer import Answer
from batchscout.estimate import Estimate
from batchscout.exchanges import Call, Exchange, OnProgress, Outcome, Reply, Rest, Unreachable
from batchscout.jobs import Job

DEFAULT_URL: Final = "http://127.0.0.1:8321"
CONNECT_SECONDS: Final = 10.0

T = TypeVar("T")


class Client:
    """A batchscout service, asked synchronously. Close it, or use it in a `with` block.

    Args:
        url: Address of the service.
        transport: Another way of sending requests than over the network, for tests.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(base_url=url, transport=transport, trust_env=_is_remote(url))

    def create(self, spec: Mapping[str, Any], *, force: bool = False) -> Job:
        """Queue a job; see `batchscout.exchanges.create`."""
        return self._drive(exchanges.create(spec, force=force))

    def job(self, job_id: str) -> Job:
        """Look at a job as it is now; see `batchscout.exchanges.job`."""
        return self._drive(exchanges.job(job_id))

    def wait(self, job_id: str, on_progress: OnProgress | None = None) -> Job:
        """Follow a job until it has ended; see `batchscout.exchanges.wait`."""
        return self._drive(exchanges.wait(job_id, on_progress))

    def cancel(self, job_id: str) -> Job:
        """Have a job stopped; see `batchscout.exchanges.cancel`."""
        return self._drive(exchanges.cancel(job_id))

    def trials(self, job_id: str) -> list[Mapping[str, Any]]:
        """List a job's trials; see `batchscout.exchanges.trials`."""
        return self._drive(exchanges.trials(job_id))

    def recommendation(self, job_id: str) -> Answer:
        """Fetch a job's answer; see `batchscout.exchanges.recommendation`."""
        return self._drive(exchanges.recommendation(job_id))

    def tune(
        self, spec: Mapping[str, Any], on_progress: OnProgress | None = None, *, force: bool = False
    ) -> Answer:
        """Queue a job, follow it, return its answer; see `batchscout.exchanges.tune`."""
        return self._drive(exchanges.tune(spec, on_progress, force=force))

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

    def _drive(self, exchange: Exchange[T]) -> T:
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
                outcome = self._make(step)

    def _make(self, call: Call) -> Outcome:
        try:
            return _reply(self._http.request(**_arguments(call)))
        except httpx.TransportError as error:
            return _unreachable(self._http.base_url, error)


class AsyncClient:
    """A batchscout service, asked asynchronously; the twin of `Client`.

    Args:
        url: Address of the service.
        transport: Another way of sending requests than over the network, for tests.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, transport=transport, trust_env=_is_remote(url))

    async def create(self, spec: Mapping[str, Any], *, force: bool = False) -> Job:
        """Queue a job; see `batchscout.exchanges.create`."""
        return await self._drive(exchanges.create(spec, force=force))

    async def job(self, job_id: str) -> Job:
        """Look at a job as it is now; see `batchscout.exchanges.job`."""
        return await self._drive(exchanges.job(job_id))

    async def wait(self, job_id: str, on_progress: OnProgress | None = None) -> Job:
        """Follow a job until it has ended; see `batchscout.exchanges.wait`."""
        return await self._drive(exchanges.wait(job_id, on_progress))

    async def cancel(self, job_id: str) -> Job:
        """Have a job stopped; see `batchscout.exchanges.cancel`."""
        return await self._drive(exchanges.cancel(job_id))

    async def trials(self, job_id: str) -> list[Mapping[str, Any]]:
        """List a job's trials; see `batchscout.exchanges.trials`."""
        return await self._drive(exchanges.trials(job_id))

    async def recommendation(self, job_id: str) -> Answer:
        """Fetch a job's answer; see `batchscout.exchanges.recommendation`."""
        return await self._drive(exchanges.recommendation(job_id))

    async def tune(
        self, spec: Mapping[str, Any], on_progress: OnProgress | None = None, *, force: bool = False
    ) -> Answer:
        """Queue a job, follow it, return its answer; see `batchscout.exchanges.tune`."""
        return await self._drive(exchanges.tune(spec, on_progress, force=force))

    async def estimate(
        self, spec: Mapping[str, Any], gpus: Sequence[str], micro_batch_size: int | None = None
    ) -> Estimate:
        """Predict what fits some cards; see `batchscout.exchanges.estimate`."""
        return await self._drive(exchanges.estimate(spec, gpus, micro_batch_size))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def _drive(self, exchange: Exchange[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = exchange.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer
            if isinstance(step, Rest):
                await asyncio.sleep(step.seconds)
                outcome = None
            else:
                outcome = await self._make(step)

    async def _make(self, call: Call) -> Outcome:
        try:
            return _reply(await self._http.request(**_arguments(call)))
        except httpx.TransportError as error:
            return _unreachable(self._http.base_url, error)


def _is_remote(url: str) -> bool:
    """Whether proxies of the environment apply: never to this machine's own service."""
    return urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}


def _arguments(call: Call) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "method": call.method,
        "url": call.path,
        "params": call.query,
        "headers": call.headers,
        "timeout": httpx.Timeout(call.timeout_seconds, connect=CONNECT_SECONDS),
    }
    return arguments if call.body is None else arguments | {"json": call.body}


def _reply(response: httpx.Response) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=headers, content=response.content)


def _unreachable(base_url: httpx.URL, error: httpx.TransportError) -> Unreachable:
    return Unreachable(reason=f"{base_url} ({type(error).__name__}: {error})")
