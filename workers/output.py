"""The last lines that a keeper and its children have printed."""

from __future__ import annotations

import os
import select
import threading
from typing import Final

TAIL_BYTES: Final = 8192
"""What is kept of the output; all before it is dropped."""

_CHUNK_BYTES: Final = 65536


class Output:
    """Reads a pipe so that no printing process ever waits, and keeps its end.

    Args:
        source: Descriptor to read from; this object owns it from now on.
    """

    def __init__(self, source: int) -> None:
        self._source = source
        self._tail = b""
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._drain, name="output", daemon=True)
        self._thread.start()

    def tail(self) -> str:
        """Return the last lines printed until now."""
        with self._reading:
            while self._has_more(0):
                if not self._take():
                    break
            return self._tail.decode(errors="replace").strip()

    def clear(self) -> None:
        """Forget what was printed until now."""
        self.tail()
        with self._reading:
            self._tail = b""

    def join(self, timeout_seconds: float) -> None:
        """Wait until every process that could print is gone."""
        self._thread.join(timeout_seconds)

    def _drain(self) -> None:
        while self._has_more(None):
            with self._reading:
                # `tail` may have been faster: then reading would wait with the lock held.
                if self._has_more(0) and not self._take():
                    break
        with self._reading:
            os.close(self._source)
            self._source = -1

    def _has_more(self, timeout_milliseconds: int | None) -> bool:
        if self._source < 0:
            return False
        poller = select.poll()
        poller.register(self._source, select.POLLIN)
        return bool(poller.poll(timeout_milliseconds))

    def _take(self) -> bool:
        some = os.read(self._source, _CHUNK_BYTES)
        self._tail = (self._tail + some)[-TAIL_BYTES:]
        return bool(some)
