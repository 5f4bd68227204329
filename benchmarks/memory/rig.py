"""A subject on one simulated card: trials, the true maximum, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from benchmarks.memory.subjects import Subject
from tuner.deciding.probing import ACCUMULATION
from tuner.deciding.replayed import Question
from tuner.measuring.allocating.events import AllocationEvents
from tuner.measuring.replaying.replay import largest_served
from tuner.measuring.simulated import SimulatedCard
from tuner.records import MemoryMeasurement, MemoryTrial

RECORDED: Final = "size-"
"""What a recording is called here, before its size."""


@dataclass(slots=True, kw_only=True)
class Rig:
    """Runs sizes of one subject on one card; a size that was run is remembered.

    Args:
        subject: What is trained.
        card: What it is trained on.
        events_at: Its events at a size.
        margin: Share of the limit that live bytes leave free.
    """

    subject: Subject
    card: SimulatedCard
    events_at: Callable[[int], AllocationEvents]
    margin: float
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
            result = self.card.measure(self.events_at(size), trial)
            named = None if result.out_of_memory else f"{RECORDED}{size}"
            self._known[size] = replace(result, recording=named)
        return self._known[size]

    def replay(self, question: Question) -> int | None:
        """Answer from what the card was asked for at the sizes that a question names."""
        sizes = sorted(int(name.removeprefix(RECORDED)) for name in question.recordings)
        low, high = (
            self.card.recording(self.events_at(size), self.measure(size)) for size in sizes
        )
        return largest_served(
            low,
            high,
            limit_bytes=self.card.limit_bytes,
            goal_bytes=int(self.card.limit_bytes * (1.0 - self.margin)),
            above=question.above,
            up_to=question.up_to,
            careful=question.careful,
        )

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
