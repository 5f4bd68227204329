"""The least memory in which torch's allocator serves a step freely."""

from __future__ import annotations

from typing import Final

from tuner.measuring.tracing.allocator import CachingAllocator
from tuner.measuring.tracing.events import AllocationEvents

PRECISION: Final = 0.002
"""The bytes are found to this share of themselves."""


def needed_bytes(events: AllocationEvents) -> int:
    """Find the least limit without out of memory and without a retry after warm-up.

    It lies between the peak of live bytes, which would do if no memory were ever in the wrong
    place, and the peak of reserved bytes without any limit, at which nothing is ever retried.
    Where in between depends on the sizes of the tensors and the order in which they come: a
    few large ones of unlike sizes need much more than they hold.

    Args:
        events: Births and deaths, with marks.

    Returns:
        Bytes, rounded up to within 0.2 %.
    """
    free = CachingAllocator().replay(events)
    low, high = free.live_bytes - 1, free.reserved_bytes
    while high - low > PRECISION * high:
        middle = (low + high) // 2
        tried = CachingAllocator(middle).replay(events)
        if tried.out_of_memory or tried.retries_after_warm_up:
            low = middle
        else:
            high = middle
    return high
