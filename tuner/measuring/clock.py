"""Wall seconds of work on a device that may run behind its host."""

from __future__ import annotations

import time

import torch


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was told; the CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Adds up seconds between starts and stops, the device caught up at both.

    Args:
        device: What is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._device = device
        self._began: float | None = None

    def start(self) -> None:
        """Begin a stretch; nothing if one has begun."""
        if self._began is None:
            synchronize(self._device)
            self._began = time.perf_counter()

    def stop(self) -> None:
        """End the stretch and add it; nothing if none has begun."""
        if self._began is not None:
            synchronize(self._device)
            self.seconds += time.perf_counter() - self._began
            self._began = None
