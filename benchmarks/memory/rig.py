"""A subject on one simulated card: trials, the true maximum, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.memory.subjects import Subject
from tuner.deciding.probing import ACCUMULATION
from tuner.measuring.simulated import SimulatedCard
from tuner.measuring.tracing.events import AllocationEvents
from tuner.records import MemoryMeasurement, MemoryTrial


@dataclass(slots=True, kw_only=True)
class Rig:
    """Runs sizes of one subject on one card; a size that was run is remembered.

    Args:
        subject: What is trained.
        card: What it is trained on.
        events_at: Its events at a size.
    """

    subject: Subject
    card: SimulatedCard
    events_at: Callable[[int], AllocationEvents]
    _known: dict[int, MemoryMeasurement] = field(default_factory=dict)

    def measure(self, size: int) -> MemoryMeasurement:
        """Run one size at the card's whole limit."""
        if size not in self._known:
            trial = MemoryTrial(
                id=f"size-{size}",
                workload=self.subject.workload,
                micro_batch_size=size,
                accumulation=ACCUMULATION,
                limit_bytes=self.card.limit_bytes,
            )
            self._known[size] = self.card.measure(self.events_at(size), trial)
        return self._known[size]

    def runs(self, size: int) -> bool:
        """Whether a size runs without out of memory and without a retry after warm-up."""
        result = self.measure(size)
        return not result.out_of_memory and result.allocation_retries == 0

    def true_maximum(self) -> int:
        """Find the largest size that runs, exactly.

        Live bytes never fall with the size, so above the smallest size that runs out of memory
        within one and a half times of itself nothing runs; below it, sizes are tried one by
        one downwards, since retries come and go.

        Returns:
            The size; 0 if none runs.
        """
        top = self._first_beyond()
        for size in range(min(top, self.subject.upper), 0, -1):
            if self.runs(size):
                return size
        return 0

    def _first_beyond(self) -> int:
        """The smallest size whose live bytes, in the size's own trace, exceed the limit."""
        low, high = 0, self.subject.upper + 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._live_bytes(middle) > self.card.limit_bytes:
                high = middle
            else:
                low = middle
        return low

    def _live_bytes(self, size: int) -> int:
        """Peak of live bytes that the card is asked for, had it no limit."""
        alive: set[int] = set()
        events = self.card.disturbed(self.events_at(size))
        live = peak = 0
        for block in events.order:
            rounded = -(-events.sizes_bytes[block] // 512) * 512
            if block in alive:
                alive.remove(block)
                live -= rounded
            else:
                alive.add(block)
                live += rounded
                peak = max(peak, live)
        return peak
