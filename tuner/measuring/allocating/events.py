"""The births and deaths of storages in a training step, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """The parts of a memory trial that have a peak of their own."""

    FORWARD_BACKWARD = "forward_backward"
    """Setting up, forward and backward passes."""
    OPTIMIZER = "optimizer"
    """Clipping and the optimizer step."""
    EVALUATION = "evaluation"
    """Evaluation, without gradients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a phase begins.

    Args:
        position: Index of the first event that belongs to it.
        phase: Which one.
        step: Optimizer steps that were complete by then; 0 is the warm-up.
    """

    position: int
    phase: Phase
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationEvents:
    """What an allocator was asked for, without its answers: the same on every device.

    A block is named by its index. Its first event is its birth, its second one its death; a
    block without a second one is still alive at the end.

    Args:
        order: Indices of blocks, one per event.
        sizes_bytes: Requested bytes of each block, by index.
        marks: Where phases begin, in order; the first one at position 0.
    """

    order: tuple[int, ...]
    sizes_bytes: tuple[int, ...]
    marks: tuple[Mark, ...]

    def phases(self) -> Iterator[tuple[Mark, tuple[int, ...]]]:
        """Go through the phases, each with its events."""
        ends = [mark.position for mark in self.marks[1:]] + [len(self.order)]
        for mark, end in zip(self.marks, ends, strict=True):
            yield mark, self.order[mark.position : end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """Peaks of one phase.

    Args:
        requested_bytes: What was asked for and alive.
        live_bytes: The blocks that it took, rounding included.
        reserved_bytes: The segments that the allocator held.
    """

    requested_bytes: int = 0
    live_bytes: int = 0
    reserved_bytes: int = 0

    def __or__(self, other: Peaks) -> Peaks:
        """Take the higher one of each."""
        return Peaks(
            requested_bytes=max(self.requested_bytes, other.requested_bytes),
            live_bytes=max(self.live_bytes, other.live_bytes),
            reserved_bytes=max(self.reserved_bytes, other.reserved_bytes),
        )


def requested_peaks(events: AllocationEvents) -> dict[Phase, int]:
    """Find the peaks of requested bytes, as an allocator without any rounding would.

    Args:
        events: What was asked for.

    Returns:
        Bytes by phase; a phase that never began has none.
    """
    alive: set[int] = set()
    peaks: dict[Phase, int] = {}
    live = 0
    for mark, order in events.phases():
        live, peak = _followed(order, events.sizes_bytes, alive, live)
        peaks[mark.phase] = max(peaks.get(mark.phase, 0), peak)
    return peaks


def _followed(
    order: Iterable[int], sizes: tuple[int, ...], alive: set[int], live: int
) -> tuple[int, int]:
    peak = live
    for block in order:
        if block in alive:
            alive.remove(block)
            live -= sizes[block]
        else:
            alive.add(block)
            live += sizes[block]
            peak = max(peak, live)
    return live, peak
