"""Trials as Optuna sees them, and back.

Everything that ended is told as COMPLETE: Optuna would rank pruned trials by their steps, and
drop failed ones. The value of a censored or diverged trial is what it counts as; what is really
known of it stands in its user attributes, `kind` and `score`. What ran out of memory violates a
constraint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.deciding.posterior import DIVERGED_PENALTY, Posterior
from tuner.deciding.sampling.space import Point, Space
from tuner.deciding.score import Observation

BATCH: Final = "batch_index"
"""Parameter: position of the global batch size in the space."""

RATE: Final = "learning_rate"
"""Parameter: peak rate."""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Describe the space to Optuna."""
    return {
        BATCH: IntDistribution(0, len(space.batches) - 1),
        RATE: FloatDistribution(space.low, space.high, log=True),
    }


def params_of(space: Space, point: Point) -> dict[str, float]:
    """Write a point as Optuna's parameters."""
    return {BATCH: space.batches.index(point[0]), RATE: space.clip(point[1])}


def point_of(space: Space, params: Mapping[str, float]) -> Point:
    """Read a point from Optuna's parameters."""
    return space.batches[int(params[BATCH])], space.clip(float(params[RATE]))


def frozen_trials(
    space: Space,
    belief: Posterior,
    observations: Sequence[Observation],
    running: Sequence[Point],
) -> list[FrozenTrial]:
    """Write trials for a study.

    Args:
        space: Trials at other batches are left out; rates are clipped to it.
        belief: Says what censored and diverged trials count as.
        observations: Trials that have ended.
        running: Those under way.
    """
    values = {id(one.observation): one.expected for one in belief.told}
    worst = max(values.values(), default=0.0) + DIVERGED_PENALTY
    inside = [one for one in observations if one.global_batch_size in space.batches]
    ended = [_ended(space, one, values.get(id(one), worst)) for one in inside]
    return ended + [
        create_trial(
            state=TrialState.RUNNING,
            params=params_of(space, point),
            distributions=distributions(space),
        )
        for point in running
    ]


def observations_of(space: Space, study: Study) -> list[Observation]:
    """Read the trials of a study that ended, whoever told them.

    A trial without our attributes is complete, and infeasible if it violates a constraint.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [_observation(space, one) for one in trials if {BATCH, RATE} <= one.params.keys()]


def running_of(space: Space, study: Study, number: int) -> list[Point]:
    """Read the points of the trials under way, the one of this number left out."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [
        point_of(space, one.params)
        for one in trials
        if one.number != number and {BATCH, RATE} <= one.params.keys()
    ]


def _ended(space: Space, one: Observation, value: float) -> FrozenTrial:
    point = (one.global_batch_size, one.learning_rate)
    return create_trial(
        value=value,
        params=params_of(space, point),
        distributions=distributions(space),
        user_attrs={"kind": one.kind, "score": one.score, "seed": one.seed},
        constraints={"memory": 1.0 if one.kind == "infeasible" else -1.0},
    )


def _observation(space: Space, trial: FrozenTrial) -> Observation:
    batch, rate = point_of(space, trial.params)
    infeasible = any(value > 0.0 for value in trial.constraints.values())
    kind = "infeasible" if infeasible else str(trial.user_attrs.get("kind", "complete"))
    score = trial.user_attrs.get("score", trial.value)
    return Observation(
        global_batch_size=batch,
        learning_rate=rate,
        kind=kind,
        score=None if infeasible else score,
        run=None,
        seed=trial.user_attrs.get("seed"),
    )
