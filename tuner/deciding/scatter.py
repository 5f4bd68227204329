"""How far one trial lies from its expectation, read off runs that differ by their seed alone."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from tuner.deciding.job import Job
from tuner.deciding.plan import Goal
from tuner.deciding.score import observe

USUAL: Final = 0.17
"""Standard deviation between seeds to expect, in units of ln T: 0.08 to 0.24 were measured."""

USUAL_WEIGHT: Final = 4.0
"""That expectation counts as this many degrees of freedom: three runs have two."""

OWN_SHARE: Final = 0.6
"""Share of that deviation which two trials on one seed do not have in common: the root of one
minus the correlation of 0.57 to 0.83 that was measured between them."""

BOUNDS: Final = (0.10, 0.15)
"""Noise of one trial that is believed."""


def trial_noise(job: Job, goal: Goal) -> float:
    """Estimate the noise of a trial from the race's runs of one rate on several seeds.

    Args:
        job: Whose race it was.
        goal: What the trials are scored by.

    Returns:
        Standard deviation of a trial about its expectation over seeds, in units of the score.
    """
    scores: dict[tuple[int, float], list[float]] = defaultdict(list)
    seeds: dict[tuple[int, float], set[int]] = defaultdict(set)
    for run in reversed(job.history.runs("race")):
        one = observe(job, goal, run) if goal.kind == "time" else None
        if one is None or one.kind != "complete" or one.score is None:
            continue
        point = (one.global_batch_size, one.learning_rate)
        if run.request.seed not in seeds[point]:
            seeds[point].add(run.request.seed)
            scores[point].append(one.score)
    squares = sum(float(np.sum((np.array(s) - np.mean(s)) ** 2)) for s in scores.values())
    freedom = sum(len(one) - 1 for one in scores.values())
    between = (USUAL_WEIGHT * USUAL**2 + squares) / (USUAL_WEIGHT + freedom)
    return float(np.clip(OWN_SHARE * np.sqrt(between), *BOUNDS))
