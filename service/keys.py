"""Keys that open the API: how they are made, and what is kept of them.

A key is 32 random bytes, so a plain SHA-256 of it is as hard to turn back as the key is to
guess. It is looked up by that digest: how long this takes tells nothing about the key.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

PREFIX: Final = "bs_"
"""By which people and scanners of source code recognise a key."""

KEY_BYTES: Final = 32
SHOWN_CHARACTERS: Final = 9
"""How much of a key lists show: enough to tell keys apart, of no use to guess one."""


def make_key() -> str:
    """Make a new key."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_of(key: str) -> str:
    """What is stored of a key, and under which it is found again."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def shown_part(key: str) -> str:
    """The beginning of a key, by which its owner recognises it in a list."""
    return key[:SHOWN_CHARACTERS]
