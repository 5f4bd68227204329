"""What counts memory: torch's allocator on CUDA, tracked tensors on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from tuner.measuring.clock import synchronize
from tuner.measuring.tracked_memory import TrackedMemory


class Meter(Protocol):
    """Counts bytes on one device, between resets."""

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count tensors that may have been made out of its sight."""

    def begin(self) -> None:
        """Start a phase: its peak begins with what is alive."""

    def peak_bytes(self) -> int:
        """Peak of live bytes since `begin`."""

    def reserved_bytes(self) -> int:
        """Peak of what the allocator held since `begin`; live bytes where it holds no more."""

    def retries(self) -> int:
        """How often the allocator had to give back its cache and try again, ever."""


class CudaMeter:
    """The statistics of torch's caching allocator.

    Args:
        device: The card.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """Nothing on a card is out of its allocator's sight."""

    def begin(self) -> None:
        """Start a phase."""
        synchronize(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak_bytes(self) -> int:
        """Peak of allocated bytes."""
        return int(torch.cuda.max_memory_allocated(self._device))

    def reserved_bytes(self) -> int:
        """Peak of reserved bytes."""
        return int(torch.cuda.max_memory_reserved(self._device))

    def retries(self) -> int:
        """Allocator retries."""
        return int(torch.cuda.memory_stats(self._device).get("num_alloc_retries", 0))


class TrackedMeter:
    """Tracked tensors.

    Args:
        tracked: Counts while its mode is on.
    """

    def __init__(self, tracked: TrackedMemory) -> None:
        self._tracked = tracked

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count tensors that no operation returned, such as those over NumPy's memory."""
        self._tracked.hold(tensors)

    def begin(self) -> None:
        """Start a phase."""
        self._tracked.reset_peak()

    def peak_bytes(self) -> int:
        """Peak of live bytes."""
        return self._tracked.peak_bytes

    def reserved_bytes(self) -> int:
        """Peak of live bytes: nothing is held in reserve."""
        return self._tracked.peak_bytes

    def retries(self) -> int:
        """None, ever."""
        return 0


@contextmanager
def limited(device: torch.device, limit_bytes: int | None) -> Iterator[None]:
    """Hold torch's allocator on a card to a limit for a while; the CPU is left alone.

    Args:
        device: The card.
        limit_bytes: Bytes, the context not counted; None for all of it.

    Yields:
        Nothing.
    """
    if device.type != "cuda" or limit_bytes is None:
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit_bytes / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@contextmanager
def metered(device: torch.device, limit_bytes: int) -> Iterator[Meter]:
    """Count memory on a device, and on the CPU run out of it at a limit.

    Args:
        device: Where.
        limit_bytes: Bytes of tensors; on a card `limited` sees to it instead.

    Yields:
        The meter.
    """
    if device.type == "cuda":
        yield CudaMeter(device)
        return
    with TrackedMemory(limit_bytes) as tracked:
        yield TrackedMeter(tracked)
