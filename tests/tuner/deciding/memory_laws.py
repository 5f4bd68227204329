"""Memory laws with known answers, for the searches of the largest micro-batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuner.records import MemoryMeasurement, PredictedPeak


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The peak of a phase is the highest of the lines of its instants; the optimizer's is flat.

    Args:
        fixed: Bytes of the instant that holds the most besides activations.
        slope: Bytes per sample at that instant.
        optimizer: Bytes of the optimizer step.
        share: Share of the fixed bytes that are there when the most activations are.
        steeper: Multiple of the slope at that other instant.
    """

    fixed: int
    slope: int
    optimizer: int = 0
    share: float = 1.0
    steeper: float = 1.0

    @property
    def kink(self) -> float:
        """The size from which the steeper line is the higher one."""
        return (1.0 - self.share) * self.fixed / max(1e-9, (self.steeper - 1.0) * self.slope)

    def growing(self, size: int) -> int:
        """Bytes of forward and backward."""
        late = self.fixed + self.slope * size
        early = int(self.share * self.fixed) + int(self.steeper * self.slope * size)
        return max(late, early)

    def peak(self, size: int) -> int:
        """The higher one of the two phases."""
        return max(self.optimizer, self.growing(size))

    def predicted(
        self, size: int, *, share: float = 1.0, less: int = 0, fragmented: float = 1.0
    ) -> PredictedPeak:
        """What a trace says that sees only a share, and misses a constant."""
        growing = max(1, int(share * (self.growing(size) - less)))
        return PredictedPeak(
            micro_batch_size=size,
            forward_backward_bytes=growing,
            optimizer_bytes=int(share * self.optimizer),
            evaluation_bytes=growing // 3,
            reserved_bytes=growing,
            needed_bytes=int(fragmented * max(growing, int(share * self.optimizer))),
            total_bytes=growing,
        )


def run(
    law: Law,
    size: int,
    limit_bytes: int,
    *,
    retries_above: float = 1.0,
    fragmented: float = 1.0,
) -> MemoryMeasurement:
    """Run a size at a limit; the allocator retries where what it holds is too much.

    Args:
        law: What is alive.
        size: Micro-batch size.
        limit_bytes: Where memory ends.
        retries_above: Share of the limit above which it retries.
        fragmented: What it holds for one byte that is alive.
    """
    peak = law.peak(size)
    held = int(fragmented * peak)
    out_of_memory = peak > limit_bytes
    retries = not out_of_memory and held > retries_above * limit_bytes
    return MemoryMeasurement(
        micro_batch_size=size,
        out_of_memory=out_of_memory,
        forward_backward_bytes=law.growing(size),
        optimizer_bytes=law.optimizer,
        evaluation_bytes=law.growing(size) // 3,
        reserved_bytes=min(held, limit_bytes),
        allocation_retries=int(retries),
        steps=3,
        device_seconds=1.0,
    )


def searched(
    choose: Callable[[list[MemoryMeasurement]], int | None],
    measure: Callable[[int], MemoryMeasurement],
) -> list[MemoryMeasurement]:
    """Run what a search chooses until it ends; no size twice."""
    trials: list[MemoryMeasurement] = []
    while (size := choose(trials)) is not None:
        assert size not in {trial.micro_batch_size for trial in trials}
        trials.append(measure(size))
    return trials
