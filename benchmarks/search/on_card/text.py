"""Real text that lies on every machine: the source of Python's own standard library, as bytes."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Final

import numpy as np

LEFT_OUT: Final = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages"})
"""Folders that not every installation has."""

HELD_OUT: Final = 10
"""One file in so many is for validation, whole, so that no sample continues a trained one."""


def write_text(path: Path, *, total_bytes: int, length: int, validation: int) -> None:
    """Write samples of bytes as `x_train` and `x_val`.

    Args:
        path: An npz file.
        total_bytes: Bytes to read at most, training and validation together.
        length: Bytes of each sample.
        validation: Validation samples to keep at most, evenly spaced over the held-out files.
    """
    train, held_out = bytearray(), bytearray()
    for number, file in enumerate(_files()):
        part = held_out if number % HELD_OUT == 0 else train
        part += file.read_bytes()
        if len(train) + len(held_out) >= total_bytes:
            break
    kept = _samples(bytes(held_out), length)
    kept = kept[np.linspace(0, len(kept) - 1, min(validation, len(kept))).astype(int)]
    np.savez(path, x_train=_samples(bytes(train), length), x_val=kept)


def _files() -> list[Path]:
    """List the `.py` files of the library in an order of their names alone."""
    root = Path(sysconfig.get_path("stdlib"))
    names = [path.relative_to(root) for path in root.rglob("*.py")]
    kept = [name for name in names if not LEFT_OUT.intersection(name.parts)]
    # Neighbours in the alphabet are alike, so files are taken in an order that spreads them.
    ordered = sorted(kept, key=lambda name: name.parts)
    return [root / name for begin in range(HELD_OUT) for name in ordered[begin::HELD_OUT]]


def _samples(text: bytes, length: int) -> np.ndarray:
    """Cut bytes into samples: uint8 (N, length); the last bytes are dropped."""
    whole = len(text) // length * length
    return np.frombuffer(text[:whole], dtype=np.uint8).reshape(-1, length)
