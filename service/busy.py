"""How long each device has been busy since the controller started, and lately."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Final

from workers.executor import DeviceSlot

WINDOW_SECONDS: Final = 300.0
"""What `lately` means."""

STEP_SECONDS: Final = 5.0
"""How finely the window moves."""


class BusyTimes:
    """Adds up busy time from looks at the devices.

    A device counts as busy from the look that finds it so to the next one: look whenever work
    may have been handed out or may have ended.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._busy: frozenset[str] = frozenset()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._seen_at = clock()
        self._steps: deque[tuple[float, dict[str, float]]] = deque([(self._seen_at, {})])

    def look(self, devices: Iterable[DeviceSlot]) -> None:
        """Note which devices are busy from now on."""
        moment = self._clock()
        for device_id in self._busy:
            self._seconds[device_id] += moment - self._seen_at
        self._busy = frozenset(one.id for one in devices if one.busy_with is not None)
        self._seen_at = moment
        if moment - self._steps[-1][0] >= STEP_SECONDS:
            self._steps.append((moment, dict(self._seconds)))
        while len(self._steps) > 1 and moment - self._steps[1][0] >= WINDOW_SECONDS:
            self._steps.popleft()

    def seconds(self, device_id: str) -> float:
        """Seconds that a device was busy since the controller started."""
        return self._seconds[device_id]

    def share(self, device_id: str) -> float:
        """The part of the last minutes that a device was busy, from 0 to 1."""
        begun_at, before = self._steps[0]
        passed = self._seen_at - begun_at
        spent = self._seconds[device_id] - before.get(device_id, 0.0)
        return min(1.0, spent / passed) if passed > 0 else 0.0
