"""Write Python's own standard library as a language-model data set.

    python examples/prepare_bytes.py FOLDER

writes `FOLDER/bytes.safetensors`: the bytes of the library's `.py` files, in sorted order,
cut into samples of 64 bytes. Whole files are held out for validation, one in ten, so that no
sample of it continues one that was trained on. The same Python gives the same file.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.numpy import save_file

SAMPLE_BYTES: Final = 64
TOTAL_BYTES: Final = 2_000_000
HELD_OUT: Final = 10
"""One file in so many is for validation."""

LEFT_OUT: Final = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages"})
"""Folders that not every installation has."""


def library_files() -> list[Path]:
    """List the `.py` files of the standard library, in an order of their names alone."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [path.relative_to(root) for path in root.rglob("*.py")]
    kept = [path for path in files if not LEFT_OUT.intersection(path.parts)]
    return [root / path for path in sorted(kept, key=lambda path: path.parts)]


def as_samples(text: bytes) -> np.ndarray:
    """Cut bytes into samples: uint8 of shape (N, SAMPLE_BYTES); the last ones are dropped."""
    whole = len(text) // SAMPLE_BYTES * SAMPLE_BYTES
    return np.frombuffer(text[:whole], dtype=np.uint8).reshape(-1, SAMPLE_BYTES)


def read_library() -> tuple[bytes, bytes]:
    """Read files until there are `TOTAL_BYTES`, training and validation together."""
    train, validation = bytearray(), bytearray()
    for number, path in enumerate(library_files()):
        part = validation if number % HELD_OUT == HELD_OUT - 1 else train
        part += path.read_bytes()
        if len(train) + len(validation) >= TOTAL_BYTES:
            break
    return bytes(train), bytes(validation)


def main() -> None:
    """Write the file and say what is in it."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    train, validation = map(as_samples, read_library())
    target = folder / "bytes.safetensors"
    save_file({"x_train": train, "x_val": validation}, target)
    target.chmod(0o644)  # the service may run as another user
    print(f"{target}: {len(train)} training and {len(validation)} validation samples")


if __name__ == "__main__":
    main()
