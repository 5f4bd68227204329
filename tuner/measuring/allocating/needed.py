"""The least memory in which torch's allocator serves a step freely."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tuner.measuring.allocating.allocator import CachingAllocator
from tuner.measuring.allocating.events import AllocationEvents

PRECISION: Final = 0.003
"""The bytes are found to this share of themselves."""

VARIANTS: Final = ((0.0, 0), (0.03, 150), (0.05, 250), (0.08, 450))
"""By what share the tensors of a step are larger, and MiB that are kept besides."""

LARGE_BYTES: Final = 4 * 2**20
"""Only tensors from this size on are made larger."""

MIB: Final = 2**20


def needed_bytes(events: AllocationEvents) -> int:
    """Say how much memory a step needs without out of memory and without a retry after warm-up.

    It lies between the peak of live bytes, which would do if no memory were ever in the wrong
    place, and the peak of reserved bytes without any limit, at which nothing is ever retried.
    Where in between depends on the sizes of the tensors and the order in which they come: a
    few large ones of unlike sizes need much more than they hold.

    How well tensors can be packed jumps by some per cent with their sizes, and those on a card
    are not quite the traced ones. So the step is also packed with tensors a little larger and
    with some memory kept besides, and the best packing counts: a card has one like it at this
    size or at one nearby.

    Args:
        events: Births and deaths, with marks.

    Returns:
        Bytes, rounded up to within 0.3 %.
    """
    best = None
    for growth, kept_mib in VARIANTS:
        varied = varied_events(events, growth=growth, kept_bytes=kept_mib * MIB)
        best = _packing(varied, best)
    live = CachingAllocator().replay(events).live_bytes
    return int(live * (best or 1.0))


def varied_events(events: AllocationEvents, *, growth: float, kept_bytes: int) -> AllocationEvents:
    """Make the large tensors of a step larger, and keep some memory from the start.

    Args:
        events: Births and deaths, with marks.
        growth: By what share; tensors that outlive the steps are left as they are.
        kept_bytes: What is kept besides; 0 for none.
    """
    if not growth and not kept_bytes:
        return events
    dying = dying_blocks(events)
    sizes = [
        int((1.0 + growth) * size) if size >= LARGE_BYTES and block in dying else size
        for block, size in enumerate(events.sizes_bytes)
    ]
    marks = tuple(
        replace(mark, position=mark.position + 1) if index else mark
        for index, mark in enumerate(events.marks)
    )
    return AllocationEvents(
        order=(len(sizes), *events.order), sizes_bytes=(*sizes, kept_bytes), marks=marks
    )


def dying_blocks(events: AllocationEvents) -> set[int]:
    """Blocks that die before the end: those of a step, not those of the model."""
    alive: set[int] = set()
    gone: set[int] = set()
    for block in events.order:
        (gone if block in alive else alive).add(block)
    return gone


def _packing(events: AllocationEvents, best: float | None) -> float:
    """Find needed over live bytes, or leave the best known one if this is no better."""
    free = CachingAllocator().replay(events)
    live = max(1, free.live_bytes)
    if best is not None and not _is_served(events, int((best - PRECISION) * live)):
        return best
    low, high = live - 1, free.reserved_bytes
    if best is not None:
        high = min(high, int((best - PRECISION) * live))
    while high - low > PRECISION * high:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_served(events, middle) else (middle, high)
    return max(1.0, high / live)


def _is_served(events: AllocationEvents, limit_bytes: int) -> bool:
    tried = CachingAllocator(limit_bytes).replay(events)
    return not tried.out_of_memory and tried.retries_after_warm_up == 0
