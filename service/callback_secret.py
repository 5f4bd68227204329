"""The secret with which callbacks to one owner are signed, derived so that none is stored.

Every secret follows from one master in the data folder (HMAC-SHA256 of the owner's id), so that
it can be shown again, differs from owner to owner, and is worth nothing against the master.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from service.locks import hold
from service.settings import Settings

FILE_NAME: Final = "callback.key"
PREFIX: Final = "whsec_"
"""How Standard Webhooks marks a secret."""

MASTER_BYTES: Final = 32


class BrokenMaster(Exception):
    """The file of the master was changed: the secrets that people hold cannot be found again."""


def secret_of(settings: Settings, owner: str | None) -> str:
    """Derive the secret of one owner.

    Args:
        settings: Where the data folder is; the master is made in it on demand.
        owner: Id of a key; None where there are no keys.

    Returns:
        `whsec_` and 32 bytes in base64.

    Raises:
        BrokenMaster: The file does not hold a master.
    """
    derived = hmac.new(_master(settings.data_dir), (owner or "").encode(), hashlib.sha256)
    return PREFIX + base64.b64encode(derived.digest()).decode("ascii")


def _master(folder: Path) -> bytes:
    file = folder / FILE_NAME
    try:
        master = file.read_bytes()
    except FileNotFoundError:
        with hold(folder / "callback.lock"):
            # Another process may have made it in the meantime.
            master = file.read_bytes() if file.exists() else _make(file)
    if len(master) != MASTER_BYTES:
        raise BrokenMaster(
            f"{file} does not hold {MASTER_BYTES} bytes: put it back from a copy, or remove it, "
            "and give every receiver of callbacks its new secret"
        )
    return master


def _make(file: Path) -> bytes:
    """Write a new master, whole before it has its name and readable for its owner alone."""
    master = secrets.token_bytes(MASTER_BYTES)
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, master)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(file)
    return master
