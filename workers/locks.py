"""One file lock per device, so that two services of one user never share a card silently.

The lock belongs to an open file that the keeper and its children inherit: it is held until
the last of them is gone, also when the session was killed before.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from pathlib import Path


def default_folder() -> Path:
    """Return this user's folder for locks, in memory where the system offers that."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "batchscout"
    return Path(tempfile.gettempdir()) / f"batchscout-{os.getuid()}"


class DeviceLock:
    """A lock on one device.

    Args:
        folder: Where lock files lie; made on demand, for this user alone.
        device: Name that is unique on this machine, such as the UUID of a card.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._path = folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', device)}.lock"
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int | None:
        """The open file while the lock is held, to be inherited; else None."""
        return self._descriptor

    def acquire(self) -> bool:
        """Take the lock if nobody else holds it.

        Returns:
            Whether it is held now.
        """
        if self._descriptor is not None:
            return True
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go of the lock; processes that inherited it hold it until they end."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
