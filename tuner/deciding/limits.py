"""How long runs may take, and how many there are: what a whole job costs, in reference runs."""

from __future__ import annotations

from typing import Final

SEARCH_LIMIT: Final = 1.3
"""A search run is cut at this multiple of the best time so far."""

CONFIRM_LIMIT: Final = 2.5
"""A confirming run is cut at this multiple of the best time found. That time was the best of a
dozen on one seed, so it is lucky; seeds scatter by 8 to 24 %. A tighter cut calls ordinary runs
misses, and takes the interval away."""

CONFIRM_COST: Final = 1.6
"""What a confirming run is planned to cost, as a multiple of the best time found."""

CONFIRM_SHARE: Final = 0.33
"""Share of the whole budget that confirmation may cost, at most."""

MIN_TRIALS: Final = 4
"""A search of fewer trials than this is no search; the plan is then a proxy."""

MIN_RUNS: Final = 2
"""Confirming runs that a plan sets aside at least."""

MAX_RUNS: Final = 15
"""Confirming runs at most: four finalists in three rounds, and three more of the chosen one."""

USUAL_TRIALS: Final = 12
"""Search trials that a default horizon leaves room for."""

USUAL_RUNS: Final = 6
"""Confirming runs that a default horizon leaves room for."""

TARGET_SEEDS: Final = 3
"""Runs behind an automatic target."""


def reference_runs(*, trials: int, runs: int) -> float:
    """Return what target, search and confirmation cost at most, in runs to the target."""
    return TARGET_SEEDS + SEARCH_LIMIT * trials + CONFIRM_COST * runs
