"""Optuna's own TPE, through its own study: as it comes, and with runs cut like ours.

The sampler has the settings of `optuna.samplers.TPESampler()`: multivariate, ten trials at
random first. The batch is an integer power of two, the rate a float on the logarithm. The
value is seconds to the target; a run that did not get there is told as complete, worse than
its limit by how far its loss still was, which says more than any constant would.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import optuna

from benchmarks.search.peers.rig import Rig, Tried, best_of

CAP: Final = 1.3
"""With a cap, runs are cut at this multiple of the best time so far, as ours are."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def search(rig: Rig) -> None:
    """Spend the budget; every run may take the horizon."""
    _drive(rig, lambda _: rig.horizon_seconds)


def search_capped(rig: Rig) -> None:
    """Spend the budget; runs are cut at 1.3 times the best time so far."""

    def limit(tried: list[Tried]) -> float:
        times = [one.seconds for one in tried if one.seconds is not None]
        return min([rig.horizon_seconds, *(CAP * seconds for seconds in times)])

    _drive(rig, limit)


def _drive(rig: Rig, limit_seconds: Callable[[list[Tried]], float]) -> None:
    sampler = optuna.samplers.TPESampler(seed=int(rig.rng.integers(2**31)))
    study = optuna.create_study(direction="minimize", sampler=sampler)
    tried: list[Tried] = []
    while not rig.is_spent:
        trial = study.ask()
        low, high = (int(math.log2(rig.grid.batches[end])) for end in (0, -1))
        batch = 2 ** trial.suggest_int("log2_batch", low, high)
        rate = trial.suggest_float(
            "learning_rate", float(rig.grid.rates[0]), float(rig.grid.rates[-1]), log=True
        )
        one = rig.train(rig.grid.cell(batch, rate), rig.any_seed(), limit_seconds(tried))
        study.tell(trial, math.exp(one.score))
        tried.append(one)
        rig.advise(best_of(tried).cell)
