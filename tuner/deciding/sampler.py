"""Where to look next: Optuna's TPE, warm-started by the prior, as a pure function.

Every ask builds a fresh study from the observations and seeds its sampler from the job's seed
and the index of the ask, so that a rebuilt tuning asks the same. Rebuilding is cheap; a
sampler that lives on would not replay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from tuner.deciding.job import seed_from
from tuner.deciding.posterior import DIVERGED_PENALTY, impute
from tuner.deciding.prior import Prior
from tuner.deciding.score import Observation

WARM_STARTS: Final = 3
"""Points of the prior that are tried before TPE is asked: its best at distinct batches."""

STARTUP_TRIALS: Final = 4
"""TPE draws at random until it has seen this many trials; its own default of 10 is too many."""

REACH: Final = 8.0
"""Rates are searched within this factor of the prior's, at every batch."""

SAME_RATE: Final = 0.05
"""Rates closer than this, relative, at one batch are the same trial."""

ASKS: Final = 8
"""Times that a suggestion which was tried already is asked anew."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What may be suggested.

    Args:
        batches: Global batch sizes, ascending.
        low: Lowest learning rate.
        high: Highest learning rate.
    """

    batches: tuple[int, ...]
    low: float
    high: float

    def clip(self, learning_rate: float) -> float:
        """Return the nearest rate inside the space."""
        return min(self.high, max(self.low, learning_rate))


def suggest(
    prior: Prior,
    space: Space,
    observations: Sequence[Observation],
    running: Sequence[tuple[int, float]],
    *,
    seed: int,
    index: int,
) -> tuple[int, float]:
    """Suggest the next trial.

    Args:
        prior: What is expected before any trial.
        space: What may be suggested.
        observations: Trials that have ended, those of the race included.
        running: Trials that are under way: (global batch size, learning rate).
        seed: Of the job.
        index: Counts the asks of the job from 0.

    Returns:
        Global batch size and learning rate.
    """
    tried = [(one.global_batch_size, one.learning_rate) for one in observations]
    tried += running
    if index < WARM_STARTS:
        for batch, rate in warm_starts(prior, space):
            if not _known(batch, rate, tried):
                return batch, rate
    narrowed = narrow(prior, space)
    for attempt in range(ASKS):
        batch, rate = _ask(prior, narrowed, observations, running, seed_from(seed, index, attempt))
        if not _known(batch, rate, tried):
            break
    return batch, rate


def warm_starts(prior: Prior, space: Space) -> list[tuple[int, float]]:
    """Return the prior's best point of each batch, the most promising first."""
    points = [(batch, space.clip(prior.rate(batch))) for batch in space.batches]
    return sorted(
        points,
        key=lambda point: (prior.score(*point), abs(math.log2(point[0] / prior.batch)), point[0]),
    )


def narrow(prior: Prior, space: Space) -> Space:
    """Narrow the rates to those within reach of the prior at some batch."""
    centres = [prior.rate(batch) for batch in space.batches]
    low, high = space.clip(min(centres) / REACH), space.clip(max(centres) * REACH)
    return Space(batches=space.batches, low=low, high=high) if low < high else space


def _ask(
    prior: Prior,
    space: Space,
    observations: Sequence[Observation],
    running: Sequence[tuple[int, float]],
    seed: int,
) -> tuple[int, float]:
    study = optuna.create_study(
        sampler=TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed), direction="minimize"
    )
    study.add_trials(_trials(prior, space, observations, running))
    trial = study.ask(_distributions(space))
    return space.batches[trial.params["batch_index"]], float(trial.params["learning_rate"])


def _trials(
    prior: Prior,
    space: Space,
    observations: Sequence[Observation],
    running: Sequence[tuple[int, float]],
) -> list[optuna.trial.FrozenTrial]:
    """Tell Optuna everything as COMPLETE: it would rank pruned trials by their steps."""
    values = {id(one): value for one, value in impute(prior, observations)}
    worst = max(values.values(), default=0.0) + DIVERGED_PENALTY
    distributions = _distributions(space)
    trials = []
    for one in observations:
        if one.global_batch_size not in space.batches:
            continue
        infeasible = one.kind == "infeasible"
        trials.append(
            create_trial(
                value=values.get(id(one), worst),
                params=_params(space, one.global_batch_size, one.learning_rate),
                distributions=distributions,
                constraints={"memory": 1.0 if infeasible else -1.0},
            )
        )
    for batch, rate in running:
        trials.append(
            create_trial(
                state=TrialState.RUNNING,
                params=_params(space, batch, rate),
                distributions=distributions,
            )
        )
    return trials


def _distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    return {
        "batch_index": IntDistribution(0, len(space.batches) - 1),
        "learning_rate": FloatDistribution(space.low, space.high, log=True),
    }


def _params(space: Space, batch: int, learning_rate: float) -> dict[str, float]:
    return {
        "batch_index": space.batches.index(batch),
        "learning_rate": space.clip(learning_rate),
    }


def _known(batch: int, learning_rate: float, tried: Sequence[tuple[int, float]]) -> bool:
    return any(
        known_batch == batch and abs(math.log(learning_rate / known_rate)) < SAME_RATE
        for known_batch, known_rate in tried
    )
