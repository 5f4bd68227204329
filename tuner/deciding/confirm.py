"""Confirm: the finalists on seeds that the search never saw, in paired rounds.

Every finalist runs a seed before any runs the next one, so that the budget may end anywhere.
A rival that is slower beyond its paired interval is dropped. Where time does not tell the
rest apart the fastest is taken, or the flattest where that was asked for. What is chosen so runs on
further seeds of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tuner.deciding.comparison import Contender, asam_of, behind, flatter, separated
from tuner.deciding.history import Run
from tuner.deciding.job import Job, Wants
from tuner.deciding.limits import CONFIRM_LIMIT
from tuner.deciding.memory import memory_trial
from tuner.deciding.plan import Goal
from tuner.deciding.rounds import LAYOUTS, Layout, ranked, standing, until
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
        chosen: Position in `contenders` that is recommended, and ran on the most seeds.
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
    if not job.over and (_due(job, contenders) or job.history.open("confirm")):
        return None
    chosen = choose(job, contenders)
    if not job.over and _memory_wanted(job, chosen):
        return None
    return chosen


def wants(job: Job) -> Wants:
    """Ask for the runs that are due, then for the memory of the winner if it never ran."""
    contenders = contenders_of(job)
    requests: tuple[Request, ...] = _due(job, contenders)
    if not requests and not job.history.open("confirm"):
        chosen = choose(job, contenders)
        if _memory_wanted(job, chosen):
            requests = (memory_trial(job, MEMORY_REQUEST, winning_micro_batch_size(job, chosen)),)
    return Wants(requests=tuple(one for one in requests if one.id not in job.history))


def contenders_of(job: Job) -> list[Contender]:
    """Gather the confirming runs of each finalist, in the order of the finalists."""
    finalists, shape = layout(job)
    if not finalists:
        return []
    goal = _goal(job)
    return [
        Contender(
            global_batch_size=finalist.global_batch_size,
            learning_rate=finalist.learning_rate,
            runs=tuple(_observed(job, goal, position, seed) for seed in range(shape.seeds)),
            timed=goal.kind == "time",
            believed=finalist.score,
        )
        for position, finalist in enumerate(finalists)
    ]


def layout(job: Job) -> tuple[tuple[Finalist, ...], Layout]:
    """Decide how many finalists run on how many seeds, from what confirmation may cost."""
    plan, ranking = job.findings.plan, job.findings.search
    assert plan is not None and ranking is not None  # noqa: S101, PT018  (stages run in order)
    if plan.goal is None or not ranking.finalists:
        return (), LAYOUTS[-1]
    spent = job.history.seconds_by_stage()
    before = sum(seconds for stage, seconds in spent.items() if stage != "confirm")
    allowed = min(plan.confirm_seconds, job.budget_seconds - before)
    one = EXPECTED_OVERHEAD * _expected_seconds(job, plan.goal, ranking.finalists[0])
    fitting = (
        shape
        for shape in LAYOUTS
        if shape.finalists <= len(ranking.finalists) and shape.runs * one <= allowed
    )
    shape = next(fitting, LAYOUTS[-1])
    return ranking.finalists[: shape.finalists], shape


def choose(job: Job, confirmed: list[Contender]) -> Confirmation:
    """Rank the contenders; let sharpness decide among those that time cannot tell apart, if asked.

    It is not unless `sharpness_tolerance` is given: see docs/decisions/0019.
    """
    contenders = ranked([one for one in confirmed if one.done] or _from_search(job))
    memory = job.history.get(MEMORY_REQUEST)
    measured = memory.result if memory else None
    if not contenders:
        return Confirmation(
            contenders=(), rivals=(), chosen=0, by_sharpness=False, confirmed=False, memory=None
        )
    best = contenders[0]
    tolerance = job.spec.objective.sharpness_tolerance
    rivals = tuple(
        position
        for position, one in enumerate(contenders[1:], start=1)
        if one.reached
        and (not separated(best, one) or (tolerance is not None and _close(best, one, tolerance)))
    )
    chosen = 0 if tolerance is None else _flattest(contenders, rivals)
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


def _close(best: Contender, other: Contender, tolerance: float) -> bool:
    return behind(best, other) <= math.log1p(tolerance)


def _flattest(contenders: Sequence[Contender], rivals: Sequence[int]) -> int:
    """Position of the flattest rival that is flatter than the best; 0 where none is."""
    best = contenders[0]
    flat = [
        position
        for position in rivals
        if contenders[position].share >= best.share and flatter(best, contenders[position])
    ]
    return min(flat, key=lambda position: asam_of(contenders[position]) or 0.0, default=0)


def _due(job: Job, contenders: list[Contender]) -> tuple[TrainingRun, ...]:
    """Runs of the first round that is not complete, those that are under way left out.

    After the last round, or once a single contender is left, the further seeds of the chosen one.
    """
    if not contenders:
        return ()
    shape = layout(job)[1]
    now = standing(contenders, shape.rounds)
    alone = len(now.alive) == 1 and now.rounds >= SHARPNESS_SEEDS
    if now.rounds < shape.rounds and not alone:
        return tuple(
            _run(job, position, now.rounds)
            for position in sorted(now.alive)
            if _request_id(position, now.rounds) not in job.history
        )
    position = _chosen(job, [until(one, now.rounds) for one in contenders])
    if not contenders[position].reached:
        return ()
    return tuple(
        _run(job, position, seed)
        for seed in range(now.rounds, shape.seeds)
        if _request_id(position, seed) not in job.history
    )


def _chosen(job: Job, contenders: list[Contender]) -> int:
    """Position, among contenders that all ran, of the one that would be recommended."""
    found = choose(job, contenders)
    chosen = found.contenders[found.chosen]
    return next(position for position, one in enumerate(contenders) if one is chosen)


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
        _request_id(position, seed),
        global_batch_size=batch,
        learning_rate=finalist.learning_rate,
        seed=job.training_seed("confirm", seed),
        max_steps=steps,
        cadence_seconds=goal.cadence_seconds,
        target=goal.target,
        measure=Measure(sharpness=seed < SHARPNESS_SEEDS),
    )


def _observed(job: Job, goal: Goal, position: int, seed: int) -> Observation | None:
    entry = job.history.get(_request_id(position, seed))
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
            timed=_goal(job).kind == "time",
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


def _request_id(position: int, seed: int) -> str:
    return f"confirm-{position}-{seed}"


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
