"""Random numbers that follow from a seed and leave the rest of the process alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global states of Python, NumPy and torch, and put them back afterwards.

    Own code may draw from any of the three, so all of them follow from the seed.

    Args:
        seed: From 0 to 2**31 - 1.

    Yields:
        Nothing.
    """
    devices = range(torch.cuda.device_count()) if _cuda_is_up() else ()
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - own code may use it
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - own code may use it
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002 - own code may use it


def _cuda_is_up() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
