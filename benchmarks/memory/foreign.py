"""An allocator that the probe's model of one is wrong about."""

from __future__ import annotations

from typing import Final

from tuner.measuring.allocating.allocator import Block, CachingAllocator

SEGMENT_BYTES: Final = 16 * 2**20
"""Its large segments are multiples of this, not of 2 MiB."""

KEPT_WHOLE_BYTES: Final = 3 * 2**20
"""It does not split a block if no more than this is left, where torch stops at 1 MiB."""


class ForeignAllocator(CachingAllocator):
    """Serves requests by coarser rules than torch's: what a replay has to stand, too."""

    def _segment_bytes(self, size_bytes: int) -> int:
        usual = super()._segment_bytes(size_bytes)
        return usual if usual < SEGMENT_BYTES else -(-usual // SEGMENT_BYTES) * SEGMENT_BYTES

    def _is_kept_whole(self, block: Block, left_bytes: int) -> bool:
        return super()._is_kept_whole(block, left_bytes) or (
            not block.is_small and left_bytes <= KEPT_WHOLE_BYTES
        )
