"""Which requests under an `Idempotency-Key` are being answered right now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class InUse(Exception):
    """A request under this key is still being answered."""


class InFlight:
    """A register of the keys in flight, of all threads of one process.

    What has been answered is in the database; this is only about the moments before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[tuple[str | None, str]] = set()

    @contextmanager
    def hold(self, owner: str | None, key: str | None) -> Iterator[None]:
        """Be the only one with a key for a while.

        Args:
            owner: Whose key it is; keys of several owners are apart.
            key: As it was sent; None holds nothing.

        Raises:
            InUse: Someone else holds it.
        """
        if key is None:
            yield
            return
        held = (owner, key)
        with self._lock:
            if held in self._held:
                raise InUse
            self._held.add(held)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(held)
