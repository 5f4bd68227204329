"""File locks: they go with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.05


class HeldElsewhere(Exception):
    """Another process holds the lock; the message says which, if it is known."""


def acquire(file: Path, *, timeout_seconds: float) -> int:
    """Take a lock, waiting for whoever holds it.

    Args:
        file: Made on demand; the process id of the holder is written into it.
        timeout_seconds: How long to wait.

    Returns:
        An open descriptor; the lock lasts until every copy of it is closed.

    Raises:
        HeldElsewhere: It was not free in time.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(_POLL_SECONDS)
                continue
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise HeldElsewhere(f"{file} is held by process {holder or 'unknown'}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor


@contextmanager
def hold(file: Path, *, timeout_seconds: float = 120.0) -> Iterator[None]:
    """Hold a lock for a while.

    Args:
        file: Made on demand.
        timeout_seconds: How long to wait for it.

    Raises:
        HeldElsewhere: It was not free in time.
    """
    descriptor = acquire(file, timeout_seconds=timeout_seconds)
    try:
        yield
    finally:
        os.close(descriptor)
