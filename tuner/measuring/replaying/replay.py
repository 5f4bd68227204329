"""The largest micro-batch that the allocator would serve, from what it was asked for at others.

A trace without a device knows neither the workspaces that libraries take nor how large tensors
really are; peaks that were measured do not say where the holes will be. The requests
themselves say both. Each block of two trials gives a line, and a model of the allocator goes
through the requests of any other size, as fast as Python can.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tuner.measuring.allocating.allocator import CachingAllocator, rounded_bytes
from tuner.measuring.allocating.events import AllocationEvents
from tuner.measuring.replaying.lines import Lines
from tuner.measuring.replaying.recording import Recording, load
from tuner.places import Places
from tuner.records import MemoryReplay, MemoryReplayed

CAREFUL_SHARES: Final = (1.0, 0.995)
"""With care, a size is served if it is at each of these shares of the limit."""

CAREFUL_GOAL: Final = 0.995
"""Share of the goal that live bytes then may take: kernels may change from size to size."""

GOAL: Final = 0.999
"""The same without care."""

TRUSTED: Final = 1.002
"""An allocator that held more than this multiple of what the model says is met with care."""

FINENESS: Final = 1000
"""Sizes are gone through in steps of this part of the largest one, or of one sample."""


def replay_memory(request: MemoryReplay, places: Places) -> MemoryReplayed:
    """Find the largest size that two recordings promise.

    Args:
        request: Names the recordings, the limits, and where to look.
        places: Where recordings lie.

    Returns:
        The size; None where a recording is missing or the two do not go together.
    """
    began = time.perf_counter()
    found = [load(places.artifacts, name) for name in request.recordings]
    recordings = sorted(filter(None, found), key=lambda one: one.micro_batch_size)
    size = None
    if len(recordings) == len(found) > 1:
        size = largest_served(
            recordings[-2],
            recordings[-1],
            limit_bytes=request.limit_bytes,
            goal_bytes=request.goal_bytes,
            above=request.above,
            up_to=request.up_to,
            careful=request.careful,
        )
    return MemoryReplayed(micro_batch_size=size, device_seconds=time.perf_counter() - began)


def largest_served(
    low: Recording,
    high: Recording,
    *,
    limit_bytes: int,
    goal_bytes: int,
    above: int,
    up_to: int,
    careful: bool,
) -> int | None:
    """Find the largest size whose requests are served freely.

    Args:
        low: Of a size that ran.
        high: Of a larger one.
        limit_bytes: What the allocator may hold.
        goal_bytes: What may be alive.
        above: Sizes up to this one are not looked at.
        up_to: No larger one is.
        careful: Whether to leave room for what the recordings do not show.

    Returns:
        A size; `above` where no larger one is served, None where the recordings differ in kind.
    """
    lines = Lines.through(low, high)
    if lines is None:
        return None
    misjudged = max(_misjudged(one, limit_bytes) for one in (low, high))
    limit_bytes = int(limit_bytes / misjudged)
    careful = careful or misjudged > TRUSTED
    goal = goal_bytes * (CAREFUL_GOAL if careful else GOAL)
    shares = CAREFUL_SHARES if careful else (1.0,)
    size = _largest(lambda m: live_bytes(lines.at(m)) <= goal, above, up_to)
    step = max(1, size // FINENESS)
    while size > above:
        events = lines.at(size)
        if all(is_served(events, int(share * limit_bytes)) for share in shares):
            return size
        size -= step
    return above


def _misjudged(recording: Recording, limit_bytes: int) -> float:
    """By what factor, at least 1, the real allocator held more than the model of it does."""
    modelled = CachingAllocator(limit_bytes).replay(recording.events).reserved_bytes
    return max(1.0, recording.reserved_bytes / max(1, modelled))


def is_served(events: AllocationEvents, limit_bytes: int) -> bool:
    """Whether an allocator serves events without out of memory or a retry after warm-up."""
    tried = CachingAllocator(limit_bytes).replay(events)
    return not tried.out_of_memory and tried.retries_after_warm_up == 0


def live_bytes(events: AllocationEvents) -> int:
    """Peak of what is alive, each block rounded as the allocator does."""
    alive: set[int] = set()
    live = peak = 0
    for block in events.order:
        size = rounded_bytes(events.sizes_bytes[block])
        if block in alive:
            alive.remove(block)
            live -= size
        else:
            alive.add(block)
            live += size
            peak = max(peak, live)
    return peak


def _largest(is_within: Callable[[int], bool], low: int, high: int) -> int:
    """Bisect for the largest size within; `low` is taken to be."""
    high += 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_within(middle) else (low, middle)
    return low
