"""What torch's allocator on a card is asked for, from the memory history that it keeps.

See "Understanding CUDA Memory Usage" in torch's documentation. The history holds the bytes
that were requested, so that rounding and caching are left to whoever replays it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch

from tuner.measuring.allocating.events import AllocationEvents, Mark, Phase

MAX_ENTRIES: Final = 500_000
"""A longer history loses its beginning, and is then of no use."""

SETTINGS: Final = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""Who sets one of these has an allocator with other rules than the model's."""

PHASES: Final = {
    "forward_backward_bytes": Phase.FORWARD_BACKWARD,
    "optimizer_bytes": Phase.OPTIMIZER,
    "evaluation_bytes": Phase.EVALUATION,
}
"""From the phases of a trial to those of a replay."""


@dataclass(slots=True, kw_only=True)
class CudaHistory:
    """A history that is being kept.

    Args:
        device: The card.
        held: Blocks that were alive when it began, as address and requested bytes.
    """

    device: torch.device
    held: tuple[tuple[int, int], ...]
    _marks: list[tuple[int, Phase, int]] = field(default_factory=list)

    def mark(self, phase: str, steps: int) -> None:
        """Note that a phase begins.

        Args:
            phase: As a trial calls it.
            steps: Optimizer steps that are complete.
        """
        self._marks.append((time.time_ns() // 1000, PHASES[phase], steps))

    def events(self) -> AllocationEvents | None:
        """Read what was asked for since it began; None where the history is not whole."""
        snapshot = torch.cuda.memory._snapshot(self.device)  # noqa: SLF001 - documented all the same
        entries = snapshot["device_traces"][self.device.index or 0]
        if len(entries) >= MAX_ENTRIES or not self._marks:
            return None
        return events_of(self.held, entries, self._marks)


@contextmanager
def cuda_history(device: torch.device) -> Iterator[CudaHistory | None]:
    """Keep the history of a card for a while.

    Args:
        device: Where.

    Yields:
        The history; None on the CPU, and where the allocator is not the usual one.
    """
    usual = not any(os.environ.get(name) for name in SETTINGS)
    if device.type != "cuda" or not usual or torch.cuda.get_allocator_backend() != "native":
        yield None
        return
    held = held_blocks(torch.cuda.memory._snapshot(device)["segments"], device.index or 0)  # noqa: SLF001
    _keep("all")
    try:
        yield CudaHistory(device=device, held=held)
    finally:
        _keep(None)


def held_blocks(
    segments: Sequence[Mapping[str, Any]], device_index: int
) -> tuple[tuple[int, int], ...]:
    """List the blocks that are alive in a snapshot, by address.

    Args:
        segments: Of the snapshot.
        device_index: Of the card.

    Returns:
        Address and requested bytes of each.
    """
    found = []
    for segment in segments:
        if segment.get("device", device_index) != device_index:
            continue
        address = segment["address"]
        for block in segment["blocks"]:
            if block["state"] == "active_allocated":
                found.append((address, int(block.get("requested_size", block["size"]))))
            address += block["size"]
    return tuple(found)


def events_of(
    held: Sequence[tuple[int, int]],
    entries: Sequence[Mapping[str, Any]],
    marks: Sequence[tuple[int, Phase, int]],
) -> AllocationEvents:
    """Turn a history into births and deaths.

    Args:
        held: Blocks that were alive before it, as address and bytes.
        entries: The allocator's own, in order.
        marks: When phases began, in microseconds, with steps complete by then.

    Returns:
        Its events; blocks of which only the death is known are left out.
    """
    order: list[int] = []
    sizes: list[int] = []
    at: dict[int, int] = {}

    def is_born(address: int, size: int) -> None:
        if address in at:
            order.append(at[address])
        at[address] = len(sizes)
        order.append(len(sizes))
        sizes.append(size)

    for address, size in held:
        is_born(address, size)
    found = [Mark(position=0, phase=marks[0][1], step=marks[0][2])]
    later = list(marks[1:])
    for entry in entries:
        while later and entry["time_us"] >= later[0][0]:
            _, phase, step = later.pop(0)
            found.append(Mark(position=len(order), phase=phase, step=step))
        if entry["action"] == "alloc":
            is_born(entry["addr"], entry["size"])
        elif entry["action"] == "free_completed" and entry["addr"] in at:
            order.append(at.pop(entry["addr"]))
    found += [Mark(position=len(order), phase=phase, step=step) for _, phase, step in later]
    return AllocationEvents(order=tuple(order), sizes_bytes=tuple(sizes), marks=tuple(found))


def _keep(what: Literal["all"] | None) -> None:
    keep = torch.cuda.memory._record_memory_history  # noqa: SLF001 - documented all the same
    keep(what, context=None, stacks="python", max_entries=MAX_ENTRIES)
