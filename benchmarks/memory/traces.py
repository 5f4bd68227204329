"""Event traces of the suite's subjects at any micro-batch size, exact and cheap.

A step makes the same blocks in the same order at every size, and each block's bytes are affine
in it. That is not assumed but checked: two traces give every block's line, a third one, at
another size, has to agree in order and in bytes. Where it does not, and below the smallest of
them, every size that is asked for is traced. What was traced is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.memory.subjects import Subject
from tuner.deciding.probing import ACCUMULATION
from tuner.measuring.allocating.allocator import CachingAllocator
from tuner.measuring.allocating.events import AllocationEvents, Phase
from tuner.measuring.allocating.needed import needed_bytes
from tuner.measuring.quirks import settled
from tuner.measuring.tracing.trace import Tracer
from tuner.places import Places
from tuner.records import CardModel, PredictedPeak

BASES: Final = (16, 48)
"""Sizes whose traces give the lines."""

CHECK: Final = 160
"""Size whose trace has to agree with them."""

CARD: Final = CardModel(name="traced", memory_bytes=10 * 2**30, context_bytes=0, device_type="cuda")
"""Stands for every card: the data of the suite lie on the same side of its limit on all of them."""


class Traces:
    """The traces of one subject.

    Args:
        subject: What is traced.
    """

    def __init__(self, subject: Subject) -> None:
        folder = Path(tempfile.gettempdir())
        places = Places(artifacts=folder, entrypoint_prefixes=("benchmarks",))
        self._tracer = Tracer(subject.workload, places, CARD)
        self._kept: dict[int, AllocationEvents] = {}
        self._predicted: dict[int, PredictedPeak] = {}
        self._lines: list[tuple[int, int]] | None = None
        low, high = (self.traced(size) for size in BASES)
        if _alike(low, high):
            lines = _lines(low, high)
            check = self.traced(CHECK)
            if _alike(low, check) and _sizes(lines, CHECK) == check.sizes_bytes:
                self._lines = lines

    @property
    def is_affine(self) -> bool:
        """Whether sizes between and beyond the traced ones follow from lines that were checked."""
        return self._lines is not None

    def at(self, micro_batch_size: int) -> AllocationEvents:
        """Give the events at a size, with deaths in a row in order."""
        known = self._kept.get(micro_batch_size)
        if known is not None:
            return known
        if self._lines is None or micro_batch_size < BASES[0]:
            return self.traced(micro_batch_size)
        base = self._kept[BASES[0]]
        return AllocationEvents(
            order=base.order,
            sizes_bytes=_sizes(self._lines, micro_batch_size),
            marks=base.marks,
        )

    def traced(self, micro_batch_size: int) -> AllocationEvents:
        """Trace a size, or give what was traced of it."""
        if micro_batch_size not in self._kept:
            events = self._tracer.trace(micro_batch_size, ACCUMULATION).events
            self._kept[micro_batch_size] = AllocationEvents(
                order=tuple(block for _, order in settled(events) for block in order),
                sizes_bytes=events.sizes_bytes,
                marks=events.marks,
            )
        return self._kept[micro_batch_size]

    def predict(self, sizes: Sequence[int]) -> list[PredictedPeak]:
        """Predict the peaks of sizes on a card without quirks."""
        for size in sizes:
            if size not in self._predicted:
                self._predicted[size] = predicted(size, self.at(size))
        return [self._predicted[size] for size in sizes]

    def is_exact_at(self, micro_batch_size: int) -> bool:
        """Whether a trace of a size agrees with the events that are given for it."""
        given = self.at(micro_batch_size)
        traced = self.traced(micro_batch_size)
        return _alike(given, traced) and given.sizes_bytes == traced.sizes_bytes


def predicted(micro_batch_size: int, events: AllocationEvents) -> PredictedPeak:
    """Say what one trace takes of a card."""
    replay = CachingAllocator().replay(events)
    live = {phase: peaks.live_bytes for phase, peaks in replay.peaks.items()}
    return PredictedPeak(
        micro_batch_size=micro_batch_size,
        forward_backward_bytes=live[Phase.FORWARD_BACKWARD],
        optimizer_bytes=live[Phase.OPTIMIZER],
        evaluation_bytes=live[Phase.EVALUATION],
        reserved_bytes=replay.reserved_bytes,
        needed_bytes=needed_bytes(events),
        total_bytes=replay.reserved_bytes,
    )


def _alike(one: AllocationEvents, other: AllocationEvents) -> bool:
    return one.order == other.order and one.marks == other.marks


def _lines(low: AllocationEvents, high: AllocationEvents) -> list[tuple[int, int]]:
    """Intercept and slope of each block; slopes of bytes per sample are whole numbers."""
    run = BASES[1] - BASES[0]
    found = []
    for before, after in zip(low.sizes_bytes, high.sizes_bytes, strict=True):
        slope = (after - before) // run
        found.append((before - slope * BASES[0], slope))
    return found


def _sizes(lines: Sequence[tuple[int, int]], micro_batch_size: int) -> tuple[int, ...]:
    return tuple(fixed + slope * micro_batch_size for fixed, slope in lines)
