"""Which four of the recorded seeds a repeat searches on, and which four judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

SEARCH_SEEDS: Final = 4
"""Seeds that searches and the oracle may see; the rest are kept for scoring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One repeat: the same for every method, so that methods are compared in pairs.

    Args:
        repeat: Counts the repeats from 0; seeds whatever a method draws at random.
        search: Positions of the seeds that may be trained on, in the order they are met.
        scoring: Positions of the seeds that nobody has seen.
    """

    repeat: int
    search: tuple[int, ...]
    scoring: tuple[int, ...]


def draw(repeat: int, num_seeds: int) -> Draw:
    """Shuffle the seeds of a repeat.

    Args:
        repeat: Which repeat.
        num_seeds: Seeds that were recorded; more than `SEARCH_SEEDS`.
    """
    order = np.random.default_rng((repeat, 8)).permutation(num_seeds)
    return Draw(
        repeat=repeat,
        search=tuple(int(index) for index in order[:SEARCH_SEEDS]),
        scoring=tuple(int(index) for index in order[SEARCH_SEEDS:]),
    )
