"""Open-loop load: requests leave at fixed times, and a late answer delays none of them.

A latency counts from the moment at which its request was due, so that a server that stalls is
charged for everything that piled up meanwhile.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.api.wire import Request, Wire

EARLY_SECONDS = 0.0015
"""A timer may be late by a tick: the last stretch is spent looking at the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one load came to.

    Args:
        rate: Requests a second that were due.
        seconds: Latency of each request from its due time, ascending.
        statuses: How often each HTTP status came back; 0 is no answer at all.
        late_seconds: The latest that the client itself sent a request.
    """

    rate: float
    seconds: tuple[float, ...]
    statuses: dict[int, int]
    late_seconds: float

    def summary(self) -> dict[str, Any]:
        """The figures that are kept."""
        return {
            "requests": len(self.seconds),
            "per_second": self.rate,
            "p50_seconds": quantile(self.seconds, 0.5),
            "p90_seconds": quantile(self.seconds, 0.9),
            "p99_seconds": quantile(self.seconds, 0.99),
            "worst_seconds": self.seconds[-1],
            "mean_seconds": statistics.fmean(self.seconds),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "client_late_seconds": self.late_seconds,
        }


async def drive(wire: Wire, make: Callable[[int], Request], *, rate: float, count: int) -> Load:
    """Send requests at a fixed rate.

    Args:
        wire: The server.
        make: Makes the request of an index.
        rate: Requests a second.
        count: How many.

    Returns:
        What it came to.
    """
    seconds: list[float] = []
    statuses: Counter[int] = Counter()
    late: list[float] = []
    began = time.perf_counter() + 0.05

    async def one(index: int) -> None:
        due = began + index / rate
        late.append(time.perf_counter() - due)
        try:
            statuses[(await wire.send(make(index))).status] += 1
        except (OSError, asyncio.IncompleteReadError):
            statuses[0] += 1
        seconds.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for index in range(count):
            await _until(began + index / rate)
            group.create_task(one(index))
    return Load(
        rate=rate,
        seconds=tuple(sorted(seconds)),
        statuses=dict(statuses),
        late_seconds=max(late),
    )


async def _until(moment: float) -> None:
    while (rest := moment - time.perf_counter()) > 0:  # noqa: ASYNC110 - a clock sets no event
        await asyncio.sleep(rest - EARLY_SECONDS if rest > 2 * EARLY_SECONDS else 0)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
