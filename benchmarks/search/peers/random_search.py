"""Random search: every trial trained to the target or to the horizon, the fastest wins.

Source: Bergstra & Bengio 2012, JMLR 13.
"""

from __future__ import annotations

from benchmarks.search.peers.rig import Rig, best_of


def search(rig: Rig) -> None:
    """Spend the budget."""
    tried = []
    while not rig.is_spent:
        tried.append(rig.train(rig.any_cell(), rig.any_seed(), rig.horizon_seconds))
        rig.advise(best_of(tried).cell)
