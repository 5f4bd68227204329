"""Recall: what a past job found about learning, seen from the device of this one.

How many steps a batch and a rate need does not depend on the device; how long a step takes
does. So the past job's trials are kept in steps, and become times again with the step times
that were measured here. The same prior and posterior as in the search then name the
configuration that is expected to be the best on this device, which need not be the past one.

The trials of a search share one seed, and its luck with it. The confirming runs do not: how
much they exceed what the trials let expect is that luck, and is added to all trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

import numpy as np

from tuner.deciding import posterior
from tuner.deciding.job import Job
from tuner.deciding.noise import NoiseScale
from tuner.deciding.plan import Goal
from tuner.deciding.prior import Prior, prior_of
from tuner.deciding.race import RaceOutcome
from tuner.deciding.runs import throughput_of
from tuner.deciding.score import Observation
from tuner.deciding.search import Finalist
from tuner.recommendation import Caution
from tuner.records import Knowledge, KnownTrial
from tuner.spec import LossAtBudget

RATE_POINTS: Final = 33
"""Rates that are considered at each batch, evenly spaced on the logarithm."""

WORTH_LEAVING: Final = math.log(1.03)
"""A configuration that was never trained has to promise this much more than one that was."""

EVALUATIONS_APART: Final = 2.0
"""Evaluations are at least this multiple of their own duration apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection:
    """What a past job lets expect here.

    Args:
        race: What the race would have had to find out.
        goal: What runs are scored by.
        observations: The past trials, scored with the step times of this device.
        best: The configuration that is expected to be the best here, and its score.
    """

    race: RaceOutcome
    goal: Goal
    observations: tuple[Observation, ...]
    best: Finalist


def recollect(job: Job, knowledge: Knowledge) -> Recollection | None:
    """See a past job's findings from this device.

    Args:
        job: The present job, its step times measured.
        knowledge: What the past job knows.

    Returns:
        What it lets expect, or None where none of its configurations lies in the space that
        this job asks for (or, where layers depend on the micro-batch, runs at the same one).
    """
    trials = _usable(job, knowledge)
    if not any(trial.kind == "complete" for trial in trials):
        return None
    goal = _goal(job, knowledge)
    race = _race(knowledge, goal)
    prior = prior_of(replace(job, findings=replace(job.findings, race=race)), goal)
    observations = _levelled(job, goal, prior, trials)
    best = _best(job, prior, observations)
    if best is None:
        return None
    goal = replace(goal, cadence_seconds=_cadence_seconds(job, trials, best.global_batch_size))
    return Recollection(
        race=replace(race, cadence_seconds=goal.cadence_seconds),
        goal=goal,
        observations=observations,
        best=best,
    )


def in_steps(job: Job, goal: Goal, one: Observation) -> float | None:
    """Take the device out of a score: ln of steps for a time goal, the score itself otherwise."""
    if one.kind == "diverged" or one.score is None:
        return None
    if goal.kind != "time":
        return one.score
    return one.score - math.log(throughput_of(job).step_seconds[one.global_batch_size])


def _goal(job: Job, knowledge: Knowledge) -> Goal:
    """The goal of this job; its cadence follows from the batch, once that is chosen."""
    objective = job.spec.objective
    if isinstance(objective, LossAtBudget):
        return Goal(kind="metric", budget_samples=objective.budget_samples, cadence_seconds=0.0)
    return Goal(kind="time", target=knowledge.target, cadence_seconds=0.0)


def _cadence_seconds(job: Job, trials: Sequence[KnownTrial], batch: int) -> float:
    """Evaluate as many steps apart as the past did at the nearest batch.

    Smoothing delays a crossing by about as many steps, so that other ones would not compare.
    """
    timing = throughput_of(job)
    nearest = min(trials, key=lambda one: abs(math.log(one.global_batch_size / batch)))
    return max(
        nearest.evaluate_every_steps * timing.step_seconds[batch],
        EVALUATIONS_APART * timing.evaluation_seconds,
    )


def _race(knowledge: Knowledge, goal: Goal) -> RaceOutcome:
    return RaceOutcome(
        batch=knowledge.global_batch_size,
        cadence_seconds=goal.cadence_seconds,
        learning_rate=knowledge.learning_rate,
        target=knowledge.target,
        target_origin=knowledge.target_origin,
        reference_steps=knowledge.steps,
        noise=NoiseScale(
            estimate=knowledge.critical_batch_size,
            low=knowledge.critical_batch_size_low,
            high=knowledge.critical_batch_size_high,
            windows=knowledge.noise_windows,
        ),
        warnings=tuple(
            Caution(code=one.code, detail=f"Of {knowledge.job_id}: {one.detail}")
            for one in knowledge.cautions
        ),
    )


def _usable(job: Job, knowledge: Knowledge) -> list[KnownTrial]:
    """Trials at batches that were timed here; at the same micro-batch, where that matters."""
    plans, scope = throughput_of(job).plans, job.findings.inspect
    dependent = scope is not None and bool(scope.facts.batch_dependent_layers)
    return [
        trial
        for trial in knowledge.trials
        if trial.global_batch_size in plans
        and (
            not dependent
            or plans[trial.global_batch_size].micro_batch_size == trial.micro_batch_size
        )
    ]


def _observation(job: Job, goal: Goal, trial: KnownTrial) -> Observation:
    score = trial.score
    if score is not None and goal.kind == "time":
        score += math.log(throughput_of(job).step_seconds[trial.global_batch_size])
    return Observation(
        global_batch_size=trial.global_batch_size,
        learning_rate=trial.learning_rate,
        kind=trial.kind,
        score=score,
        run=None,
    )


def _levelled(
    job: Job, goal: Goal, prior: Prior, trials: Sequence[KnownTrial]
) -> tuple[Observation, ...]:
    """Score the trials, the luck of the search's seed taken out of those that share it."""
    chosen_by = [_observation(job, goal, one) for one in trials if not one.unseen]
    unseen = [_observation(job, goal, one) for one in trials if one.unseen]
    belief = posterior.fit(prior, chosen_by)
    excess = [
        one.score - belief.score(one.global_batch_size, one.learning_rate)[0]
        for one in unseen
        if one.kind == "complete" and one.score is not None
    ]
    luck = fmean(excess) if excess and chosen_by else 0.0
    levelled = [
        one if one.score is None else replace(one, score=one.score + luck) for one in chosen_by
    ]
    return (*levelled, *unseen)


def _best(job: Job, prior: Prior, seen: Sequence[Observation]) -> Finalist | None:
    """Choose by the posterior mean, a configuration that was trained before others."""
    rates = job.spec.learning_rates
    known = [one for one in seen if one.kind == "complete"]
    trained = [
        (one.global_batch_size, one.learning_rate)
        for one in known
        if rates.holds(one.learning_rate)
    ]
    belief = posterior.fit(prior, seen)
    candidates = [(0.0, point) for point in dict.fromkeys(trained)]
    candidates += [(WORTH_LEAVING, point) for point in _untrained(job, prior, known)]
    if not candidates:
        return None
    scores, _ = belief.scores([point for _, point in candidates])
    chosen = int((scores + np.array([extra for extra, _ in candidates])).argmin())
    batch, rate = candidates[chosen][1]
    return Finalist(global_batch_size=batch, learning_rate=rate, score=float(scores[chosen]))


def _untrained(job: Job, prior: Prior, known: Sequence[Observation]) -> Iterator[tuple[int, float]]:
    """Rates at every batch, within those that were tried relative to each batch's centre."""
    scope = job.findings.inspect
    batches = sorted(throughput_of(job).plans)
    if scope is not None and scope.facts.batch_dependent_layers:
        batches = sorted({one.global_batch_size for one in known})
    tried = [math.log(one.learning_rate / prior.rate(one.global_batch_size)) for one in known]
    low, high, rates = min(tried), max(tried), job.spec.learning_rates
    for batch in batches:
        for index in range(RATE_POINTS):
            offset = low + (high - low) * index / (RATE_POINTS - 1)
            rate = prior.rate(batch) * math.exp(offset)
            if rates.low <= rate <= rates.high:
                yield batch, rates.nearest(rate)
