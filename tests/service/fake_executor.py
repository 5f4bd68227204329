"""An executor whose devices are a small world: every measurement takes one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.tuner.world import World
from tuner.places import Places
from tuner.records import Request
from workers.executor import AttemptId, DeviceSlot, Finished, Lost, NoFreeDevice, Update

SPEC: Mapping[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp"},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification", "optimizer": {"kind": "sgd", "momentum": 0.9}},
    "objective": {"kind": "time_to_target", "target": 0.1},
    "search_space": {"global_batch_size": {"low": 8, "high": 64}},
    "budget": {"timeout_seconds": 600, "max_trials": 4},
}
"""A small request that the world answers."""


def slot(device_id: str = "cpu", accelerator: str = "cpu", kind: str = "cpu") -> DeviceSlot:
    """A device."""
    return DeviceSlot(
        id=device_id, accelerator=accelerator, kind=kind, name=device_id, memory_bytes=1
    )


class FakeExecutor:
    """Measures by the laws of a world, one attempt per call of `updates`.

    Args:
        slots: The devices.
        world: Their laws.
    """

    def __init__(self, *slots: DeviceSlot, world: World | None = None) -> None:
        self.slots = list(slots or [slot()])
        self.world = world or World()
        self.running: dict[AttemptId, Request] = {}
        self.submitted: list[AttemptId] = []
        self.tightened: list[tuple[AttemptId, int]] = []
        self.cancelled: list[AttemptId] = []
        self.held = False
        self.busy_elsewhere = False
        self.crash_next = False
        self.known: frozenset[AttemptId] = frozenset()
        self._ended: list[Update] = []

    def devices(self) -> tuple[DeviceSlot, ...]:
        """The devices, each with its attempt."""
        busy = [*self.running, *[None] * len(self.slots)]
        pairs = zip(self.slots, busy, strict=False)
        return tuple(replace(device, busy_with=attempt) for device, attempt in pairs)

    def submit(self, attempt: AttemptId, request: Request, places: Places) -> None:
        """Take an attempt if a device is free."""
        if self.busy_elsewhere or len(self.running) >= len(self.slots):
            raise NoFreeDevice
        self.submitted.append(attempt)
        self.running[attempt] = request

    def updates(self, timeout_seconds: float) -> tuple[Update, ...]:
        """End the oldest attempt, unless time stands still."""
        ended, self._ended = self._ended, []
        if self.running and not self.held:
            attempt = next(iter(self.running))
            request = self.running.pop(attempt)
            if self.crash_next:
                self.crash_next = False
                ended.append(Lost(attempt=attempt, cause="crashed", device_seconds=1.0))
            else:
                ended.append(Finished(attempt=attempt, result=self.world.measure(request)))
        return tuple(ended)

    def tighten(self, attempt: AttemptId, max_steps: int) -> None:
        """Note it."""
        self.tightened.append((attempt, max_steps))

    def cancel(self, attempt: AttemptId) -> None:
        """End an attempt; its update comes with the next call."""
        self.cancelled.append(attempt)
        if self.running.pop(attempt, None) is not None:
            self._ended.append(Lost(attempt=attempt, cause="withdrawn", device_seconds=0.5))

    def attach(self) -> frozenset[AttemptId]:
        """What a test says has survived."""
        return self.known

    def close(self) -> None:
        """End everything."""
        self.running.clear()
