"""The allocator model against examples worked by hand from PyTorch's rules."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tuner.measuring.allocating.allocator import (
    AllocatorOutOfMemory,
    CachingAllocator,
    rounded_bytes,
    segment_bytes,
)
from tuner.measuring.allocating.events import AllocationEvents, Mark, Phase, requested_peaks

MIB = 2**20


def events_of(order, sizes_bytes, marks=((0, Phase.FORWARD_BACKWARD, 0),)):
    """Write a sequence down."""
    return AllocationEvents(
        order=tuple(order),
        sizes_bytes=tuple(sizes_bytes),
        marks=tuple(Mark(position=p, phase=phase, step=step) for p, phase, step in marks),
    )


@pytest.mark.parametrize(
    ("requested", "rounded", "segment"),
    [
        (1, 512, 2 * MIB),
        (512, 512, 2 * MIB),
        (513, 1024, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        (21 * MIB + 1, 21 * MIB + 512, 22 * MIB),
    ],
)
def test_requests_and_segments_are_rounded(requested, rounded, segment):
    """512 bytes for blocks; 2 MiB, 20 MiB or a multiple of 2 MiB for segments."""
    assert rounded_bytes(requested) == rounded
    assert segment_bytes(rounded) == segment


def test_small_requests_share_a_segment():
    """Two requests of 1 MiB fill a small segment; one byte more takes the next."""
    allocator = CachingAllocator()
    for _ in range(2):
        allocator.allocate(MIB)
    assert (allocator.live_bytes, allocator.reserved_bytes) == (2 * MIB, 2 * MIB)
    allocator.allocate(1)
    assert (allocator.live_bytes, allocator.reserved_bytes) == (2 * MIB + 512, 4 * MIB)
    assert allocator.requested_bytes == 2 * MIB + 1


def test_a_large_block_is_split_only_if_more_than_a_mebibyte_is_left():
    """19 MiB of 20 keep their remainder, which counts as live; 8 MiB leave 12 for others."""
    whole = CachingAllocator()
    whole.allocate(19 * MIB)  # from 10 MiB on, a segment of its own size: 20 MiB
    assert (whole.live_bytes, whole.reserved_bytes) == (20 * MIB, 20 * MIB)
    split = CachingAllocator()
    split.allocate(8 * MIB)
    split.allocate(12 * MIB)
    assert (split.live_bytes, split.reserved_bytes) == (20 * MIB, 20 * MIB)
    split.allocate(11 * MIB)
    assert (split.live_bytes, split.reserved_bytes) == (32 * MIB, 32 * MIB)


def test_the_smallest_block_that_fits_is_taken():
    """Of free blocks of 30, 20 and 40 MiB, a request of 18 MiB takes the one of 20."""
    allocator = CachingAllocator()
    blocks = [allocator.allocate(size * MIB) for size in (30, 20, 40)]
    for block in blocks:
        allocator.free(block)
    assert allocator.allocate(18 * MIB).address == 30 * MIB
    assert allocator.reserved_bytes == 90 * MIB


def test_free_neighbours_merge_and_serve_a_larger_request():
    """Four blocks of 5 MiB, freed, are one segment of 20 MiB again, whatever the order."""
    for order in ((0, 1, 2, 3), (3, 1, 0, 2), (0, 2, 1, 3)):
        allocator = CachingAllocator()
        blocks = [allocator.allocate(5 * MIB) for _ in range(4)]
        assert allocator.reserved_bytes == 20 * MIB
        for index in order:
            allocator.free(blocks[index])
        assert allocator.live_bytes == 0
        allocator.allocate(20 * MIB)
        assert allocator.reserved_bytes == 20 * MIB


def test_a_full_device_gets_whole_segments_back_and_one_more_try():
    """At a limit of 50 MiB, a cached segment of 30 goes back for one of 40: one retry."""
    allocator = CachingAllocator(50 * MIB)
    allocator.free(allocator.allocate(30 * MIB))
    allocator.allocate(40 * MIB)
    assert (allocator.reserved_bytes, allocator.retries) == (40 * MIB, 1)
    with pytest.raises(AllocatorOutOfMemory):
        allocator.allocate(12 * MIB)
    assert (allocator.reserved_bytes, allocator.retries) == (40 * MIB, 2)


def test_a_segment_in_use_cannot_go_back():
    """Fragmentation: 15 of 20 MiB are free, yet 12 MiB do not fit beside one kept block."""
    allocator = CachingAllocator(30 * MIB)
    blocks = [allocator.allocate(5 * MIB) for _ in range(4)]
    for index in (0, 2, 3):
        allocator.free(blocks[index])
    with pytest.raises(AllocatorOutOfMemory) as raised:
        allocator.allocate(12 * MIB)
    assert raised.value.reserved_bytes == 20 * MIB


def test_a_replay_tells_peaks_by_phase_and_late_retries():
    """Peaks belong to their phase, and only retries after the first step are late."""
    marks = ((0, Phase.FORWARD_BACKWARD, 0), (3, Phase.OPTIMIZER, 0), (4, Phase.OPTIMIZER, 1))
    events = events_of([0, 0, 1, 2, 2, 3], [30 * MIB, 40 * MIB, 2 * MIB, 21 * MIB], marks)
    free = CachingAllocator().replay(events)
    assert free.peaks[Phase.FORWARD_BACKWARD].reserved_bytes == 70 * MIB
    assert free.peaks[Phase.OPTIMIZER].requested_bytes == 61 * MIB
    assert (free.retries, free.out_of_memory, free.steps) == (0, False, 1)
    capped = CachingAllocator(62 * MIB).replay(events)
    assert (capped.retries, capped.retries_after_warm_up) == (2, 1)
    assert capped.reserved_bytes == 62 * MIB
    refused = CachingAllocator(50 * MIB).replay(events)
    assert refused.out_of_memory
    assert refused.peaks[Phase.FORWARD_BACKWARD].requested_bytes == 40 * MIB


def test_invariants_hold_over_random_sequences():
    """Live never exceeds reserved, requested never live; no two live blocks overlap."""
    draw = random.Random(0)
    allocator, alive = CachingAllocator(), []
    for _ in range(3000):
        if alive and draw.random() < 0.5:
            allocator.free(alive.pop(draw.randrange(len(alive))))
        else:
            alive.append(allocator.allocate(int(2 ** draw.uniform(0, 25)) + 1))
        assert allocator.requested_bytes <= allocator.live_bytes <= allocator.reserved_bytes
    spans = sorted((block.address, block.size_bytes) for block in alive)
    assert all(a + size <= b for (a, size), (b, _) in pairwise(spans))
    for block in alive:
        allocator.free(block)
    assert (allocator.requested_bytes, allocator.live_bytes) == (0, 0)


def test_requested_peaks_need_no_allocator():
    """The highest sum of what is alive, by phase; a phase starts from what is alive."""
    marks = ((0, Phase.FORWARD_BACKWARD, 0), (4, Phase.EVALUATION, 1))
    events = events_of([0, 1, 1, 2, 2], [100, 50, 10], marks)
    assert requested_peaks(events) == {Phase.FORWARD_BACKWARD: 150, Phase.EVALUATION: 110}
