"""Every block of a step as a line in the micro-batch size, from two sizes that ran."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tuner.measuring.allocating.events import AllocationEvents
from tuner.measuring.replaying.alignment import aligned, births_by_phase
from tuner.measuring.replaying.recording import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What a device will be asked for at other sizes.

    Args:
        events: Those of the larger size that ran; their order is kept.
        lines: Intercept in bytes and bytes per sample of each block.
    """

    events: AllocationEvents
    lines: tuple[tuple[float, float], ...]

    @classmethod
    def through(cls, low: Recording, high: Recording) -> Lines | None:
        """Draw them through two recordings.

        A block without a partner is taken to be proportional to the size: beyond the larger
        size that errs to the safe side.

        Args:
            low: Of the smaller micro-batch.
            high: Of a larger one.

        Returns:
            The lines; None where the two went through other phases.
        """
        run = high.micro_batch_size - low.micro_batch_size
        phases = [(mark.phase, mark.step) for mark in high.events.marks]
        if run <= 0 or phases != [(mark.phase, mark.step) for mark in low.events.marks]:
            return None
        before, after = low.events.sizes_bytes, high.events.sizes_bytes
        lines = [(0.0, size / high.micro_batch_size) for size in after]
        ratio = high.micro_batch_size / low.micro_batch_size
        for low_born, high_born in zip(
            births_by_phase(low.events), births_by_phase(high.events), strict=True
        ):
            partners = aligned(
                [before[block] for block in low_born], [after[block] for block in high_born], ratio
            )
            for block, partner in zip(high_born, partners, strict=True):
                if partner is not None:
                    slope = (after[block] - before[low_born[partner]]) / run
                    lines[block] = (after[block] - slope * high.micro_batch_size, slope)
        return cls(events=high.events, lines=tuple(lines))

    def at(self, micro_batch_size: int) -> AllocationEvents:
        """Give the events of a size."""
        sizes = (round(fixed + slope * micro_batch_size) for fixed, slope in self.lines)
        return replace(self.events, sizes_bytes=tuple(max(1, size) for size in sizes))
