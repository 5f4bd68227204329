"""Optuna's TPE, told what the posterior expects of the trials that did not end."""

from __future__ import annotations

from typing import Final

import optuna
from optuna.samplers import TPESampler

from tuner.deciding.job import seed_from
from tuner.deciding.sampling import studies
from tuner.deciding.sampling.question import Question
from tuner.deciding.sampling.space import Point, known, narrow

STARTUP_TRIALS: Final = 4
"""TPE draws at random until it has seen this many trials; its own default of 10 is too many."""

ASKS: Final = 8
"""Times that a suggestion which was tried already is asked anew."""


def ask(question: Question) -> Point:
    """Ask TPE, several times if it suggests what was tried already; it never wants to stop."""
    for attempt in range(ASKS):
        point = _ask(question, seed_from(question.seed, question.index, attempt))
        if not known(point, question.tried):
            break
    return point


def _ask(question: Question, seed: int) -> Point:
    belief = question.belief
    space = narrow(question.prior, question.space, belief.best)
    sampler = TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    study.add_trials(studies.frozen_trials(space, belief, question.observations, question.running))
    return studies.point_of(space, study.ask(studies.distributions(space)).params)
