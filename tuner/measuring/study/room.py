"""Work in passes that shrink where memory does not hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import torch

from tuner.measuring.out_of_memory import forget, is_out_of_memory, release

_T = TypeVar("_T")

SAMPLES_PER_PASS: Final = 256
"""Samples of a pass that nobody chose, to begin with: a batch of one is not evaluated one by
one."""


def with_room(device: torch.device, samples_per_pass: int, work: Callable[[int], _T]) -> _T:
    """Do something in passes, with half as many samples each time memory runs out.

    Args:
        device: Whose memory it takes.
        samples_per_pass: Samples of a pass at most, to begin with.
        work: Takes the samples of a pass; its values must not depend on them.

    Returns:
        What the work gives.

    Raises:
        Exception: What the work raises; out of memory only where a pass has one sample.
    """
    while True:
        try:
            return work(samples_per_pass)
        except Exception as error:
            if samples_per_pass == 1 or not is_out_of_memory(error):
                raise
            forget(error)
        release(device)
        samples_per_pass //= 2
