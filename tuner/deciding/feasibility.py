"""What counts as fitting, for every search of the largest micro-batch.

A size is feasible if it ran without out of memory, without one allocator retry after warm-up
(retries are slow, and the next step may not survive them), and with the margin left free.
Live bytes are held against the margin, not reserved ones: what the allocator keeps of freed
blocks depends on its history and is not monotone in the size. Trials run at the limit without
the margin, so that fragmentation shows as the retries that it would really cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.errors import NoFeasibleBatch
from tuner.records import MemoryMeasurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a search of the largest micro-batch has to keep to.

    Args:
        limit_bytes: What the device gives; trials run at it.
        goal_bytes: The same with the margin taken off; what live bytes may take.
        upper: No size above this is of use.
    """

    limit_bytes: int
    goal_bytes: int
    upper: int

    @classmethod
    def of(cls, limit_bytes: int, *, margin: float, upper: int) -> Budget:
        """Take a margin off a limit."""
        goal = int(limit_bytes * (1.0 - margin))
        return cls(limit_bytes=limit_bytes, goal_bytes=goal, upper=upper)


def fits(trial: MemoryMeasurement, goal_bytes: int) -> bool:
    """Whether a size is feasible.

    Args:
        trial: How it ran at the limit.
        goal_bytes: The limit with the margin taken off.
    """
    return ran_freely(trial) and trial.live_bytes <= goal_bytes


def ran_freely(trial: MemoryMeasurement) -> bool:
    """Whether a size ran without out of memory and without one allocator retry."""
    return not trial.out_of_memory and trial.allocation_retries == 0


def fitting(trials: Sequence[MemoryMeasurement], goal_bytes: int) -> list[MemoryMeasurement]:
    """Return the feasible trials, by size."""
    good = [trial for trial in trials if fits(trial, goal_bytes)]
    return sorted(good, key=lambda trial: trial.micro_batch_size)


def smallest_failing(trials: Sequence[MemoryMeasurement], goal_bytes: int) -> int | None:
    """Return the smallest size that was run and is not feasible; None if all are."""
    sizes = [trial.micro_batch_size for trial in trials if not fits(trial, goal_bytes)]
    return min(sizes, default=None)


def nothing_fits(trials: Sequence[MemoryMeasurement], goal_bytes: int) -> NoFeasibleBatch:
    """Say that one sample was run and is not feasible.

    Args:
        trials: What was run, one sample among it.
        goal_bytes: The limit with the margin taken off.
    """
    smallest = min(trials, key=lambda trial: trial.micro_batch_size)
    needed = max(smallest.live_bytes, goal_bytes)
    return NoFeasibleBatch(
        f"Not even one sample fits: training needs more than {needed:,} bytes, and "
        f"{goal_bytes:,} are available after the margin. Use a smaller model, bf16, "
        "activation checkpointing, or a device with more memory.",
        pointer="/hardware/memory_limit_bytes",
        facts={"bytes_needed": needed, "bytes_available": goal_bytes},
    )
