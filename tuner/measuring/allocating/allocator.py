"""A model of PyTorch's CUDA caching allocator, for one stream and its default settings.

The rules are those of `c10/cuda/CUDACachingAllocator.cpp`. Requests are rounded to 512 bytes
and served by the smallest free block of their pool that holds them. Where none does, a segment
is taken of the device: 2 MiB for small requests, 20 MiB for middling ones, a multiple of 2 MiB
for large ones. What is left of a block is split off, in the large pool only if it exceeds
1 MiB. Freed blocks merge with free neighbours and stay with the allocator. If the device has
no more, all segments that are wholly free go back and the request is tried once more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Final

from tuner.measuring.allocating.events import AllocationEvents, Peaks, Phase

MIN_BLOCK_BYTES: Final = 512
"""Blocks are multiples of this."""

SMALL_BYTES: Final = 2**20
"""Requests up to this size come from the small pool; also the least remainder worth a split."""

SMALL_SEGMENT_BYTES: Final = 2 * 2**20
LARGE_SEGMENT_BYTES: Final = 20 * 2**20
MIN_LARGE_BYTES: Final = 10 * 2**20
"""Requests from here on get a segment of their own size, a multiple of 2 MiB."""


class AllocatorOutOfMemory(MemoryError):
    """A request did not fit, not even after the cache was given back.

    Args:
        requested_bytes: What was asked for.
        reserved_bytes: What the allocator held by then.
        limit_bytes: What it may hold.
    """

    def __init__(self, requested_bytes: int, reserved_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{requested_bytes:,} bytes do not fit beside {reserved_bytes:,} of {limit_bytes:,}"
        )
        self.requested_bytes = requested_bytes
        self.reserved_bytes = reserved_bytes
        self.limit_bytes = limit_bytes


@dataclass(slots=True, eq=False)
class Block:
    """A stretch of a segment."""

    address: int
    size_bytes: int
    is_small: bool
    requested_bytes: int = 0
    before: Block | None = None
    after: Block | None = None
    is_free: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it spans its segment."""
        return self.before is None and self.after is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How an allocator fared with a sequence of events.

    Args:
        peaks: By phase; after out of memory, those seen before it.
        retries: How often it had to give back its cache and try again.
        retries_after_warm_up: Those after the first optimizer step; more than 0 is slow.
        out_of_memory: Whether a request failed, which ended the replay.
        steps: Optimizer steps that were complete.
    """

    peaks: dict[Phase, Peaks]
    retries: int
    retries_after_warm_up: int
    out_of_memory: bool
    steps: int

    @property
    def reserved_bytes(self) -> int:
        """The peak of reserved bytes over all phases."""
        return max((peaks.reserved_bytes for peaks in self.peaks.values()), default=0)

    @property
    def live_bytes(self) -> int:
        """The peak of live bytes over all phases."""
        return max((peaks.live_bytes for peaks in self.peaks.values()), default=0)


@dataclass(slots=True)
class _Pool:
    """Free blocks, by size and then address."""

    keys: list[tuple[int, int]] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        block.is_free = True
        self.blocks[block.address] = block
        insort(self.keys, (block.size_bytes, block.address))

    def take(self, block: Block) -> None:
        block.is_free = False
        del self.blocks[block.address]
        del self.keys[bisect_left(self.keys, (block.size_bytes, block.address))]

    def fitting(self, size_bytes: int) -> Block | None:
        index = bisect_left(self.keys, (size_bytes, -1))
        return self.blocks[self.keys[index][1]] if index < len(self.keys) else None


class CachingAllocator:
    """Serves requests as PyTorch's allocator would.

    Args:
        limit_bytes: What it may hold of the device; None for no limit.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.requested_bytes = self.live_bytes = self.reserved_bytes = 0
        self.retries = 0
        self._peak_requested = self._peak_live = self._peak_reserved = 0
        self._small, self._large = _Pool(), _Pool()
        self._next_address = 0

    def allocate(self, requested_bytes: int) -> Block:
        """Serve a request.

        Args:
            requested_bytes: At least 1.

        Returns:
            The block, to be given to `free`.

        Raises:
            AllocatorOutOfMemory: It does not fit.
        """
        size = rounded_bytes(requested_bytes)
        pool = self._small if size <= SMALL_BYTES else self._large
        block = pool.fitting(size)
        if block is None:
            block = self._segment(size, requested_bytes)
        else:
            pool.take(block)
        self._split(block, size, pool)
        block.requested_bytes = requested_bytes
        self.requested_bytes += requested_bytes
        self.live_bytes += block.size_bytes
        self._peak_requested = max(self._peak_requested, self.requested_bytes)
        self._peak_live = max(self._peak_live, self.live_bytes)
        self._peak_reserved = max(self._peak_reserved, self.reserved_bytes)
        return block

    def free(self, block: Block) -> None:
        """Take a block back; it stays reserved."""
        self.requested_bytes -= block.requested_bytes
        self.live_bytes -= block.size_bytes
        pool = self._small if block.is_small else self._large
        before, after = block.before, block.after
        if before is not None and before.is_free:
            pool.take(before)
            block.address, block.before = before.address, before.before
            block.size_bytes += before.size_bytes
            if block.before is not None:
                block.before.after = block
        if after is not None and after.is_free:
            pool.take(after)
            block.size_bytes += after.size_bytes
            block.after = after.after
            if block.after is not None:
                block.after.before = block
        pool.add(block)

    def reset_peaks(self) -> None:
        """Forget the peaks: they start again from what is held now."""
        self._peak_requested = self.requested_bytes
        self._peak_live = self.live_bytes
        self._peak_reserved = self.reserved_bytes

    @property
    def peaks(self) -> Peaks:
        """Peaks since the last reset."""
        return Peaks(
            requested_bytes=self._peak_requested,
            live_bytes=self._peak_live,
            reserved_bytes=self._peak_reserved,
        )

    def replay(self, events: AllocationEvents) -> Replay:
        """Serve a whole sequence, starting from what is held now.

        Args:
            events: Births and deaths, with marks.

        Returns:
            Peaks by phase. Out of memory ends the replay and is told, not raised.
        """
        alive: dict[int, Block] = {}
        peaks: dict[Phase, Peaks] = {}
        late, mark, failed = 0, events.marks[0], False
        for mark, order in events.phases():
            self.reset_peaks()
            before = self.retries
            failed = not self._served(order, events.sizes_bytes, alive)
            peaks[mark.phase] = peaks.get(mark.phase, Peaks()) | self.peaks
            late += self.retries - before if mark.step > 0 else 0
            if failed:
                break
        return Replay(
            peaks=peaks,
            retries=self.retries,
            retries_after_warm_up=late,
            out_of_memory=failed,
            steps=mark.step,
        )

    def _served(
        self, order: tuple[int, ...], sizes: tuple[int, ...], alive: dict[int, Block]
    ) -> bool:
        try:
            for index in order:
                block = alive.pop(index, None)
                if block is None:
                    alive[index] = self.allocate(sizes[index])
                else:
                    self.free(block)
        except AllocatorOutOfMemory:
            return False
        return True

    def _segment(self, size_bytes: int, requested_bytes: int) -> Block:
        segment = self._segment_bytes(size_bytes)
        if self._exceeds(segment):
            # PyTorch counts a retry where the second try is made, whether it helps or not.
            self._release()
            self.retries += 1
            if self._exceeds(segment):
                raise AllocatorOutOfMemory(
                    requested_bytes, self.reserved_bytes, self.limit_bytes or 0
                )
        self.reserved_bytes += segment
        block = Block(self._next_address, segment, size_bytes <= SMALL_BYTES)
        self._next_address += segment
        return block

    def _segment_bytes(self, size_bytes: int) -> int:
        return segment_bytes(size_bytes)

    def _exceeds(self, segment: int) -> bool:
        return self.limit_bytes is not None and self.reserved_bytes + segment > self.limit_bytes

    def _release(self) -> None:
        for pool in (self._small, self._large):
            for block in [block for block in pool.blocks.values() if block.is_whole]:
                pool.take(block)
                self.reserved_bytes -= block.size_bytes

    def _split(self, block: Block, size_bytes: int, pool: _Pool) -> None:
        left = block.size_bytes - size_bytes
        if self._is_kept_whole(block, left):
            return
        rest = Block(block.address + size_bytes, left, block.is_small)
        rest.before, rest.after = block, block.after
        if rest.after is not None:
            rest.after.before = rest
        block.after, block.size_bytes = rest, size_bytes
        pool.add(rest)

    def _is_kept_whole(self, block: Block, left_bytes: int) -> bool:
        return left_bytes < MIN_BLOCK_BYTES or (not block.is_small and left_bytes <= SMALL_BYTES)


def rounded_bytes(requested_bytes: int) -> int:
    """Round a request as the allocator does."""
    return max(MIN_BLOCK_BYTES, -(-requested_bytes // MIN_BLOCK_BYTES) * MIN_BLOCK_BYTES)


def segment_bytes(size_bytes: int) -> int:
    """Say what is taken of the device for a rounded request that no free block holds."""
    if size_bytes <= SMALL_BYTES:
        return SMALL_SEGMENT_BYTES
    if size_bytes < MIN_LARGE_BYTES:
        return LARGE_SEGMENT_BYTES
    return -(-size_bytes // SMALL_SEGMENT_BYTES) * SMALL_SEGMENT_BYTES
