"""Confirm: the finalists on seeds that the search never saw, in paired rounds.

Every finalist runs a seed before any runs the next one, so that the budget may end anywhere.
A rival that is slower beyond its paired interval is dropped. Where time does not tell the
rest apart, sharpness may.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tuner.deciding.comparison import Contender, asam_of, flatter, separated
from tuner.deciding.history import Entry, Run
from tuner.deciding.job import Job, Wants
from tuner.deciding.limits import CONFIRM_LIMIT
from tuner.deciding.memory import memory_trial
from tuner.deciding.plan import Goal
from tuner.deciding.runs import throughput_of, training_run
from tuner.deciding.score import Observation, observe
from tuner.deciding.search import Finalist
from tuner.records import (
    Measure,
    MemoryMeasurement,
    Request,
    TrainingResult,
    TrainingRun,
)

LAYOUTS: Final = ((3, 5), (3, 4), (3, 3), (2, 5), (2, 4), (2, 3), (1, 5), (1, 4), (1, 3), (1, 2))
"""Finalists and seeds, the most wanted first; the last one is run whatever it costs."""

EXPECTED_OVERHEAD: Final = 1.25
"""A confirming run is expected to cost this multiple of its time to target: sharpness, misses."""

SHARPNESS_SEEDS: Final = 3
"""Replicates whose sharpness is measured."""

MEMORY_REQUEST: Final = "confirm-memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What was confirmed.

    Args:
        contenders: Best first; empty where nothing was trained.
        rivals: Positions in `contenders` that time could not tell from the best.
        chosen: Position in `contenders` that is recommended.
        by_sharpness: Whether sharpness, not time, chose it.
        confirmed: Whether it ran on unseen seeds, rather than in the search alone.
        memory: Peak of the recommended micro-batch, where it had to be run for it.
    """

    contenders: tuple[Contender, ...]
    rivals: tuple[int, ...]
    chosen: int
    by_sharpness: bool
    confirmed: bool
    memory: MemoryMeasurement | None


def finding(job: Job) -> Confirmation | None:
    """Read the confirmation, once every planned round has ended or the budget has."""
    contenders = contenders_of(job)
    if not job.over and (_next_round(job, contenders) or job.history.open("confirm")):
        return None
    chosen = choose(job, contenders)
    if not job.over and _memory_wanted(job, chosen):
        return None
    return chosen


def wants(job: Job) -> Wants:
    """Ask for the runs of the round, then for the memory of the winner if it never ran."""
    contenders = contenders_of(job)
    requests: tuple[Request, ...] = _next_round(job, contenders)
    if not requests and not job.history.open("confirm"):
        chosen = choose(job, contenders)
        if _memory_wanted(job, chosen):
            requests = (memory_trial(job, MEMORY_REQUEST, winning_micro_batch_size(job, chosen)),)
    return Wants(requests=tuple(one for one in requests if one.id not in job.history))


def contenders_of(job: Job) -> list[Contender]:
    """Gather the confirming runs of each finalist, in the order of the finalists."""
    finalists, seeds = layout(job)
    if not finalists:
        return []
    goal = _goal(job)
    return [
        Contender(
            global_batch_size=finalist.global_batch_size,
            learning_rate=finalist.learning_rate,
            runs=tuple(_observed(job, goal, position, seed) for seed in range(seeds)),
        )
        for position, finalist in enumerate(finalists)
    ]


def layout(job: Job) -> tuple[tuple[Finalist, ...], int]:
    """Decide how many finalists run on how many seeds, from what confirmation may cost."""
    plan, ranking = job.findings.plan, job.findings.search
    assert plan is not None and ranking is not None  # noqa: S101, PT018  (stages run in order)
    if plan.goal is None or not ranking.finalists:
        return (), 0
    spent = job.history.seconds_by_stage()
    before = sum(seconds for stage, seconds in spent.items() if stage != "confirm")
    allowed = min(plan.confirm_seconds, job.budget_seconds - before)
    one = EXPECTED_OVERHEAD * _expected_seconds(job, plan.goal, ranking.finalists[0])
    for finalists, seeds in LAYOUTS:
        if finalists <= len(ranking.finalists) and finalists * seeds * one <= allowed:
            return ranking.finalists[:finalists], seeds
    finalists, seeds = LAYOUTS[-1]
    return ranking.finalists[:finalists], seeds


def choose(job: Job, confirmed: list[Contender]) -> Confirmation:
    """Rank the contenders; let sharpness decide among those that time cannot tell apart."""
    contenders = [one for one in confirmed if one.done] or _from_search(job)
    contenders.sort(key=lambda one: one.rank)
    memory = job.history.get(MEMORY_REQUEST)
    measured = memory.result if memory else None
    if not contenders:
        return Confirmation(
            contenders=(), rivals=(), chosen=0, by_sharpness=False, confirmed=False, memory=None
        )
    best = contenders[0]
    tolerance = math.log1p(job.spec.objective.sharpness_tolerance)
    rivals = tuple(
        position
        for position, one in enumerate(contenders[1:], start=1)
        if one.reached and (not separated(best, one) or one.expected <= best.expected + tolerance)
    )
    flat = [position for position in rivals if flatter(best, contenders[position])]
    chosen = min(flat, key=lambda position: asam_of(contenders[position]) or 0.0, default=0)
    return Confirmation(
        contenders=tuple(contenders),
        rivals=tuple(sorted({0, *rivals} - {chosen})),
        chosen=chosen,
        by_sharpness=chosen != 0,
        confirmed=any(one.done for one in confirmed),
        memory=measured if isinstance(measured, MemoryMeasurement) else None,
    )


def winning_micro_batch_size(job: Job, chosen: Confirmation) -> int:
    """Return the micro-batch of the recommended configuration."""
    batch = chosen.contenders[chosen.chosen].global_batch_size
    return throughput_of(job).plans[batch].micro_batch_size


def _next_round(job: Job, contenders: list[Contender]) -> tuple[TrainingRun, ...]:
    """Runs of the first round that is not complete, those that are under way left out."""
    if not contenders:
        return ()
    for seed in range(len(contenders[0].runs)):
        alive = _alive(contenders, seed)
        if len(alive) == 1 and len(contenders) > 1 and seed >= SHARPNESS_SEEDS:
            return ()
        missing = [
            _run(job, position, seed)
            for position in alive
            if f"confirm-{position}-{seed}" not in job.history
        ]
        if missing or any(_unfinished(job, position, seed) for position in alive):
            return tuple(missing)
    return ()


def _alive(contenders: list[Contender], seed: int) -> list[int]:
    """Positions that were not separated from the best by the rounds before this seed."""
    before = [
        Contender(
            global_batch_size=one.global_batch_size,
            learning_rate=one.learning_rate,
            runs=one.runs[:seed],
        )
        for one in contenders
    ]
    best = min(before, key=lambda one: one.rank)
    return [
        position for position, one in enumerate(before) if one is best or not separated(best, one)
    ]


def _run(job: Job, position: int, seed: int) -> TrainingRun:
    goal = _goal(job)
    finalist = layout(job)[0][position]
    batch = finalist.global_batch_size
    step_seconds = throughput_of(job).step_seconds[batch]
    if goal.kind == "metric":
        steps = goal.steps(batch, step_seconds)
    else:
        best = min(one.score for one in layout(job)[0])
        steps = math.ceil(CONFIRM_LIMIT * math.exp(best) / step_seconds)
    return training_run(
        job,
        f"confirm-{position}-{seed}",
        global_batch_size=batch,
        learning_rate=finalist.learning_rate,
        seed=job.training_seed("confirm", seed),
        max_steps=steps,
        cadence_seconds=goal.cadence_seconds,
        target=goal.target,
        measure=Measure(sharpness=seed < SHARPNESS_SEEDS),
    )


def _observed(job: Job, goal: Goal, position: int, seed: int) -> Observation | None:
    entry = job.history.get(f"confirm-{position}-{seed}")
    if entry is None or not entry.ended:
        return None
    request = entry.request
    assert isinstance(request, TrainingRun)  # noqa: S101  (its id says so)
    if isinstance(entry.result, TrainingResult):
        return observe(job, goal, Run(request=request, result=entry.result))
    return Observation(
        global_batch_size=request.plan.global_batch_size,
        learning_rate=request.learning_rate,
        kind="infeasible",
        score=None,
        run=None,
    )


def _from_search(job: Job) -> list[Contender]:
    """Fall back on the search's own runs where the budget left none for confirmation."""
    ranking = job.findings.search
    assert ranking is not None  # noqa: S101  (stages run in order)
    return [
        Contender(
            global_batch_size=finalist.global_batch_size,
            learning_rate=finalist.learning_rate,
            runs=tuple(
                one
                for one in ranking.observations
                if (one.global_batch_size, one.learning_rate)
                == (finalist.global_batch_size, finalist.learning_rate)
            )[:1],
        )
        for finalist in ranking.finalists
    ]


def _memory_wanted(job: Job, chosen: Confirmation) -> bool:
    """Whether the recommended micro-batch was never run under the memory probe."""
    curve = job.findings.memory
    if not chosen.contenders or curve is None:
        return False
    entry = job.history.get(MEMORY_REQUEST)
    size = winning_micro_batch_size(job, chosen)
    return curve.peak_bytes(size) is None and (entry is None or not entry.ended)


def _unfinished(job: Job, position: int, seed: int) -> bool:
    entry: Entry | None = job.history.get(f"confirm-{position}-{seed}")
    return entry is not None and not entry.ended


def _expected_seconds(job: Job, goal: Goal, finalist: Finalist) -> float:
    timing = throughput_of(job)
    batch = finalist.global_batch_size
    step_seconds = timing.step_seconds[batch]
    if goal.kind == "metric":
        steps = float(goal.steps(batch, step_seconds))
    else:
        steps = math.exp(finalist.score) / step_seconds
    return timing.run_seconds(batch, steps, goal.cadence_seconds)


def _goal(job: Job) -> Goal:
    plan = job.findings.plan
    assert plan is not None and plan.goal is not None  # noqa: S101, PT018  (there are finalists)
    return plan.goal
