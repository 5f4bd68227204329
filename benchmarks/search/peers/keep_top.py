"""Keep the best after a short horizon: train many for one epoch, and the top few to the end.

The simple baseline that multi-fidelity methods have to beat. Half of the budget screens, the
rest finishes the best three from their checkpoints.

Source: Egele et al. 2023, arXiv:2309.11923 (one epoch, then the top K).
"""

from __future__ import annotations

from typing import Final

from benchmarks.search.peers.rig import Rig, Tried, best_of

KEPT: Final = 3
SCREENING_SHARE: Final = 0.5
MIN_STEPS: Final = 10
"""A screening of fewer steps than this has not begun to train."""


def search(rig: Rig) -> None:
    """Spend the budget."""
    screened: list[tuple[Tried, int]] = []
    while rig.spent_seconds < SCREENING_SHARE * rig.budget_seconds:
        cell, seed = rig.any_cell(), rig.any_seed()
        batch = rig.grid.batch(cell)
        steps = max(MIN_STEPS, int(rig.grid.meta["num_train"]) // batch)
        epoch_seconds = steps * rig.card.step_seconds(batch)
        one = rig.train(cell, seed, min(rig.horizon_seconds, epoch_seconds))
        screened.append((one, seed))
        rig.advise(min(screened, key=_screening_rank)[0].cell, note="screened")
    finished: list[Tried] = []
    for one, seed in sorted(screened, key=_screening_rank)[:KEPT]:
        if rig.is_spent:
            break
        ended = one
        if one.seconds is None and one.trained_seconds < rig.horizon_seconds:
            ended = rig.train(one.cell, seed, rig.horizon_seconds, one.trained_seconds)
        finished.append(ended)
        rig.advise(best_of(finished).cell, note="finished")


def _screening_rank(screened: tuple[Tried, int]) -> tuple[bool, float]:
    """Those that reached the target by their time, then the others by their loss."""
    one, _ = screened
    return one.seconds is None, one.excess if one.seconds is None else one.seconds
