"""Search: trials over (B, learning rate), each limited by the best expected time so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tuner.deciding import posterior, sampler
from tuner.deciding.history import Entry
from tuner.deciding.job import Job, Wants
from tuner.deciding.limits import CONFIRM_COST, MAX_RUNS, SEARCH_LIMIT
from tuner.deciding.plan import Goal, Plan
from tuner.deciding.posterior import Posterior
from tuner.deciding.prior import prior_of
from tuner.deciding.runs import throughput_of, training_run
from tuner.deciding.scatter import trial_noise
from tuner.deciding.score import Observation, observe, pace
from tuner.errors import NotAnswerable
from tuner.recommendation import Caution
from tuner.records import Request, Tighten, TrainingRun

FINALISTS: Final = 4
"""Trials that go on to confirmation, at most."""

FINALISTS_PER_BATCH: Final = 2
"""Of one batch at most: a seed may favour a whole batch, and more rates at it do not see that."""

SAME_FINALIST: Final = 0.3
"""Two rates at one batch closer than this in ln are one finalist."""

MIN_KNOWN_COSTS: Final = 3
"""Trials after which their own mean cost predicts the next one's."""

WORTH_TIGHTENING: Final = 0.95
"""A running trial is cut anew only if its limit falls below this share of the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """A configuration worth confirming, and its expected score."""

    global_batch_size: int
    learning_rate: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What the search found.

    Args:
        finalists: Best first, by the posterior mean, not by a lucky best run.
        observations: Every trial, those of the race included.
        trials: Number of search trials.
        warnings: Sentences for the user.
    """

    finalists: tuple[Finalist, ...]
    observations: tuple[Observation, ...]
    trials: int
    warnings: tuple[Caution, ...] = ()


def finding(job: Job) -> Ranking | None:
    """Rank the trials, once the last has ended or nothing more may or need be started.

    Raises:
        NotAnswerable: No trial came to anything that can be compared.
    """
    plan = _plan(job)
    if plan.goal is None:
        return Ranking(finalists=(), observations=(), trials=0)
    goal, entries = plan.goal, job.history.of("search")
    if not job.over and job.history.open("search"):
        return None
    seen = observations(job, goal)
    planned = _more(job, plan)
    if planned and not _settled(job, goal, seen):
        return None
    finalists = rank(belief_of(job, goal, seen), seen)
    if not finalists and not job.over:
        raise _nothing_compares(seen)
    return Ranking(
        finalists=finalists,
        observations=tuple(seen),
        trials=len(entries),
        warnings=_cautions(plan, len(entries), finalists, settled=planned),
    )


def wants(job: Job) -> Wants:
    """Ask for as many trials as slots are free; cut running ones to the latest limit."""
    plan = _plan(job)
    if plan.goal is None:
        return Wants()
    goal = plan.goal
    seen = observations(job, goal)
    entries = job.history.of("search")
    running = [one for one in entries if not one.ended]
    pending = [_point(entry) for entry in running]
    requests: list[Request] = []
    started = len(entries)
    while _more(job, plan, extra=len(requests)) and len(running) + len(requests) < job.slots:
        index = started + len(requests)
        question = _question(job, goal, seen, pending, index)
        point = sampler.suggest(question, job.spec.search.sampler)
        if point is None:
            break
        pending.append(point)
        limit = _limit_steps(job, goal, question.belief, point[0])
        requests.append(_trial(job, goal, index, point, limit))
    return Wants(requests=tuple(requests), tighten=_tighten(job, goal, seen, running))


def observations(job: Job, goal: Goal) -> list[Observation]:
    """Score every run that the goal can compare: the race's, where it can, and the trials."""
    seen = _of_race(job, goal)
    seen += [observe(job, goal, run) for run in job.history.runs("search")]
    seen += [
        Observation(
            global_batch_size=point[0],
            learning_rate=point[1],
            kind="infeasible",
            score=None,
            run=None,
        )
        for point in (_point(e) for e in job.history.of("search") if e.problem is not None)
    ]
    return seen


def _of_race(job: Job, goal: Goal) -> list[Observation]:
    """The winner by its time, the others by their pace; nothing where the goal is a metric."""
    race = job.findings.race
    assert race is not None  # noqa: S101  (stages run in order)
    if goal.kind != "time":
        return []
    seed = job.training_seed("search", 0)
    longest = {run.request.learning_rate: run for run in race.runs if run.request.seed == seed}
    winner = longest[race.learning_rate or 0.0]
    won = observe(job, goal, winner)
    reference = prior_of(job, goal)
    score = reference.score(reference.batch, reference.learning_rate)
    if won.kind == "complete" and won.score is not None:
        score = won.score
    losers = [run for run in longest.values() if run is not winner]
    return [won, *(pace(job, run, winner, score) for run in losers)]


def belief_of(job: Job, goal: Goal, seen: list[Observation]) -> Posterior:
    """Say what the trials lead one to expect."""
    return posterior.fit(prior_of(job, goal), seen, noise=trial_noise(job, goal))


def rank(belief: Posterior, seen: list[Observation]) -> tuple[Finalist, ...]:
    """Choose the finalists by posterior mean, near-duplicates merged.

    Trials that were cut short take part: a single lucky run cuts all that is as good on average.
    """
    pool = [one for one in seen if one.kind in {"complete", "censored"}]
    ranked = sorted(
        (belief.score(one.global_batch_size, one.learning_rate)[0], position, one)
        for position, one in enumerate(pool)
    )
    finalists: list[Finalist] = []
    for score, _, one in ranked:
        if len(finalists) < FINALISTS and not _near(one, finalists):
            finalists.append(
                Finalist(
                    global_batch_size=one.global_batch_size,
                    learning_rate=one.learning_rate,
                    score=score,
                )
            )
    return tuple(finalists)


def space_of(job: Job) -> sampler.Space:
    """Return what the search may suggest."""
    rates = job.spec.learning_rates
    batches = tuple(sorted(throughput_of(job).plans))
    return sampler.Space(batches=batches, low=rates.low, high=rates.high, rates=rates.values)


def _question(
    job: Job,
    goal: Goal,
    seen: list[Observation],
    pending: list[tuple[int, float]],
    index: int,
) -> sampler.Question:
    step_seconds = throughput_of(job).step_seconds
    run_seconds = None
    if goal.kind == "metric":
        run_seconds = {b: goal.steps(b, step) * step for b, step in step_seconds.items()}
    return sampler.Question(
        prior=prior_of(job, goal),
        space=space_of(job),
        observations=tuple(seen),
        running=tuple(pending),
        seed=job.spec.seed,
        index=index,
        noise=trial_noise(job, goal),
        run_seconds=run_seconds,
    )


def _settled(job: Job, goal: Goal, seen: list[Observation]) -> bool:
    """Whether the sampler would rather stop; only asked of one that may."""
    name, index = job.spec.search.sampler, len(job.history.of("search"))
    if not sampler.may_settle(name, index):
        return False
    return sampler.suggest(_question(job, goal, seen, [], index), name) is None


def _nothing_compares(seen: list[Observation]) -> NotAnswerable:
    diverged = sum(one.kind == "diverged" for one in seen)
    if diverged == len(seen):
        return NotAnswerable(
            f"All {diverged} trials of the search diverged, though their learning rates had held "
            "for the first steps. Lower search_space.learning_rate, or set "
            "training.gradient_clip_norm.",
            code="all_runs_diverged",
            pointer="/search_space/learning_rate",
        )
    return NotAnswerable(
        f"No trial of the search gave a result: {diverged} of {len(seen)} diverged, the others "
        "ran out of memory or failed.",
        code="no_trial_succeeded",
    )


def _cautions(
    plan: Plan, trials: int, finalists: tuple[Finalist, ...], *, settled: bool
) -> tuple[Caution, ...]:
    if not finalists:
        return (
            Caution(
                code="learning_rate_not_tuned",
                detail="The budget ended before any trial of the search did: the answer is the "
                "batch of the best throughput, and learning_rate is null.",
            ),
        )
    if not settled:
        return ()
    return (
        Caution(
            code="search_settled",
            detail=f"The search ended after {trials} of {plan.trials} planned trials: none was "
            f"expected to improve on the best by more than {sampler.WORTH_A_TRIAL:.1%}.",
        ),
    )


def _trial(
    job: Job, goal: Goal, index: int, point: tuple[int, float], max_steps: int
) -> TrainingRun:
    return training_run(
        job,
        f"search-{index}",
        global_batch_size=point[0],
        learning_rate=point[1],
        seed=job.training_seed("search", 0),
        max_steps=max_steps,
        cadence_seconds=goal.cadence_seconds,
        target=goal.target,
    )


def _limit_steps(job: Job, goal: Goal, belief: Posterior, batch: int) -> int:
    """Steps of a trial at most: to its planned end, or 1.3 times the incumbent's time.

    The incumbent is the posterior's: a limit by the luckiest run would cut ordinary ones.
    """
    seconds = throughput_of(job).step_seconds[batch]
    if goal.kind == "metric":
        return goal.steps(batch, seconds)
    reference = belief.prior.score(belief.prior.batch, belief.prior.learning_rate)
    best = belief.incumbent
    limit = SEARCH_LIMIT * math.exp(reference if best is None else min(best, reference))
    return max(1, math.ceil(limit / seconds))


def _tighten(
    job: Job, goal: Goal, seen: list[Observation], running: list[Entry]
) -> tuple[Tighten, ...]:
    if goal.kind != "time" or not running:
        return ()
    belief, cuts = belief_of(job, goal, seen), []
    for entry in running:
        request = entry.request
        if not isinstance(request, TrainingRun):
            continue
        limit = _limit_steps(job, goal, belief, request.plan.global_batch_size)
        if limit < WORTH_TIGHTENING * request.max_steps:
            cuts.append(Tighten(request_id=request.id, max_steps=limit))
    return tuple(cuts)


def _more(job: Job, plan: Plan, extra: int = 0) -> bool:
    """Whether another trial is planned and affordable, confirmation set aside."""
    if job.over or len(job.history.of("search")) + extra >= plan.trials:
        return False
    assert plan.goal is not None  # noqa: S101  (no trials without a goal)
    open_runs = extra + job.history.open("search")
    one = _run_seconds(job, plan.goal)
    most = MAX_RUNS * one * (CONFIRM_COST if plan.goal.kind == "time" else 1.0)
    reserve = min(plan.confirm_seconds, most)
    return job.remaining_seconds - reserve >= (open_runs + 1) * one


def _run_seconds(job: Job, goal: Goal) -> float:
    """What one more trial is expected to cost a device: what they did cost, once some ended."""
    entries = job.history.of("search")
    if len(entries) > MIN_KNOWN_COSTS:
        return job.history.seconds_by_stage().get("search", 0.0) / (len(entries) - 1)
    timing, race = throughput_of(job), job.findings.race
    assert race is not None  # noqa: S101  (stages run in order)
    steps = race.reference_steps or 0.0
    if goal.kind == "metric":
        steps = float(goal.steps(race.batch, timing.step_seconds[race.batch]))
    return timing.run_seconds(race.batch, steps, goal.cadence_seconds)


def _point(entry: Entry) -> tuple[int, float]:
    request = entry.request
    assert isinstance(request, TrainingRun)  # noqa: S101  (the search asks for nothing else)
    return request.plan.global_batch_size, request.learning_rate


def _near(one: Observation, finalists: list[Finalist]) -> bool:
    """Whether a finalist stands for this trial already, or its batch has enough of them."""
    others = [other for other in finalists if other.global_batch_size == one.global_batch_size]
    return len(others) >= FINALISTS_PER_BATCH or any(
        abs(math.log(one.learning_rate / other.learning_rate)) < SAME_FINALIST for other in others
    )


def _plan(job: Job) -> Plan:
    assert job.findings.plan is not None  # noqa: S101  (stages run in order)
    return job.findings.plan
