"""Small training steps as an allocator sees them, at any micro-batch size."""

from __future__ import annotations

from tuner.measuring.allocating.allocator import CachingAllocator
from tuner.measuring.allocating.events import AllocationEvents, Mark, Phase
from tuner.measuring.replaying.recording import Recording

MIB = 2**20
WEIGHTS_BYTES = 64 * MIB
ACTIVATIONS_BYTES = (4 * MIB, 9 * MIB, 2 * MIB)
"""Per sample."""

WORKSPACE_BYTES = 32 * MIB


def recorded(
    micro_batch_size: int, *, workspace_at: int | None = None, held: float = 1.0
) -> Recording:
    """Record weights that stay and three steps of three activations.

    Args:
        micro_batch_size: Samples per pass.
        workspace_at: The step in which a library takes a workspace before the second one.
        held: What the allocator held, over what the model of it does.
    """
    order, sizes, marks = [0], [WEIGHTS_BYTES], []
    for step in range(3):
        marks.append(
            Mark(position=len(order) if step else 0, phase=Phase.FORWARD_BACKWARD, step=step)
        )
        born = []
        for index, each in enumerate(ACTIVATIONS_BYTES):
            if index == 1 and step == workspace_at:
                sizes.append(WORKSPACE_BYTES)
                order += [len(sizes) - 1, len(sizes) - 1]
            sizes.append(each * micro_batch_size)
            born.append(len(sizes) - 1)
            order.append(born[-1])
        order += born
    events = AllocationEvents(order=tuple(order), sizes_bytes=tuple(sizes), marks=tuple(marks))
    reserved = CachingAllocator().replay(events).reserved_bytes
    return Recording(
        micro_batch_size=micro_batch_size, reserved_bytes=int(held * reserved), events=events
    )
