"""Where to look next: a sampler of Optuna, warm-started by the prior, as a pure function.

Every ask builds a fresh study from the observations and seeds its sampler from the job's seed
and the index of the ask, so that a rebuilt tuning asks the same. Rebuilding is cheap; a
sampler that lives on would not replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import optuna

from tuner.deciding.sampling import physics_gp, tpe
from tuner.deciding.sampling.acquisition import WORTH_A_TRIAL
from tuner.deciding.sampling.question import Question
from tuner.deciding.sampling.space import Point, Space, known, warm_starts

__all__ = ["SAMPLERS", "WORTH_A_TRIAL", "Question", "Space", "may_settle", "suggest"]

WARM_STARTS: Final = 3
"""Points of the prior that are tried before a sampler is asked: its best at distinct batches."""

SAMPLERS: Final[Mapping[str, Callable[[Question], Point | None]]] = {
    "tpe": tpe.ask,
    "physics_gp": physics_gp.ask,
}
"""By the name that a spec gives them."""

SETTLING: Final = frozenset({"physics_gp"})
"""Samplers that may find that no trial is worth its cost."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def suggest(question: Question, name: str) -> Point | None:
    """Suggest the next trial.

    Args:
        question: All that the suggestion may depend on.
        name: Of the sampler.

    Returns:
        Global batch size and learning rate; None where no trial is worth its cost any more.
    """
    if question.index < WARM_STARTS:
        for point in warm_starts(question.prior, question.space):
            if not known(point, question.tried):
                return point
    return SAMPLERS[name](question)


def may_settle(name: str, index: int) -> bool:
    """Whether a sampler might suggest nothing as its trial of this index."""
    return name in SETTLING and index >= WARM_STARTS
