"""Race: eight learning rates at one batch, the better half going on, the winner to the end.

The batch is the smallest that uses the device reasonably well. Ranking is by the smoothed
validation metric; a rate that reaches the target beats all that do not. The winner's run is
the reference of everything after: its steps to the target, its gradient noise, and, where
the user named no target, the target itself (`reference.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tuner import curve
from tuner.deciding import reference, stacking
from tuner.deciding.course import (
    MIN_RUNG_STEPS,
    RUNGS,
    Course,
    course_of,
    last_run,
)
from tuner.deciding.history import Run
from tuner.deciding.job import Job, Wants
from tuner.deciding.noise import NoiseScale, noise_scale
from tuner.deciding.runs import final_metric, training_run
from tuner.errors import NotAnswerable
from tuner.recommendation import Caution
from tuner.records import Measure, NoiseWindow, Outcome, TrainingRun

RUNG_NOISE_WINDOWS: Final = 8
"""Split steps of each run of a rung, for the noise scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceOutcome:
    """What the race showed.

    Args:
        batch: Global batch of the race.
        cadence_seconds: Calibrated seconds between evaluations, for the whole job.
        learning_rate: The winner's; None where there was no race.
        target: Value to reach; None where there is none.
        target_origin: `user`, `automatic` or `none`.
        reference_steps: The winner's steps to the target, or to its planned end; None if it
            did not get there within its share of the budget.
        noise: Gradient noise scale over the windows of the rates that got past the first rung.
        runs: Runs of the race, the winner's longest one among them.
        without: Why there was no race, or None: `synthetic`, `budget` or `stopped`.
        warnings: Sentences for the user.
    """

    batch: int
    cadence_seconds: float
    learning_rate: float | None = None
    target: float | None = None
    target_origin: str = "none"
    reference_steps: float | None = None
    noise: NoiseScale | None = None
    runs: tuple[Run, ...] = ()
    without: str | None = None
    warnings: tuple[Caution, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the race is.

    Args:
        rung: The rung that is being run, or RUNGS when the rungs are over.
        order: Indices of rates still in it, best first.
    """

    rung: int
    order: tuple[int, ...]


def finding(job: Job) -> RaceOutcome | None:
    """Read the race, once its winner has run to the end.

    Raises:
        NotAnswerable: Every learning rate diverged.
    """
    course = course_of(job)
    reason = _no_race(job, course)
    if reason is not None:
        return RaceOutcome(
            batch=course.batch, cadence_seconds=course.cadence_seconds, without=reason
        )
    standing = standing_of(job, course)
    if standing.rung == RUNGS:
        found = reference.finding(job, course, standing.order)
        if found is not None:
            return _outcome(job, course, found)
    if job.over:
        return RaceOutcome(
            batch=course.batch, cadence_seconds=course.cadence_seconds, without="stopped"
        )
    return None


def wants(job: Job) -> Wants:
    """Ask how fast stacks are, for the runs of the rung, then for those of the winner."""
    course = course_of(job)
    standing = standing_of(job, course)
    if standing.rung == RUNGS:
        return Wants(requests=reference.wants(job, course, standing.order))
    runs = tuple(rung_run(job, course, standing.rung, index) for index in standing.order)
    if not job.history.of("race"):
        timing = stacking.timing(job, course, runs)
        if timing is not None:
            return Wants(requests=(timing,))
    timed = job.history.get(stacking.TIMING_ID)
    if timed is not None and not timed.ended:
        return Wants()
    return Wants(requests=stacking.dealt(job, runs, _new_steps(course, standing.rung)))


def standing_of(job: Job, course: Course) -> Standing:
    """Follow the rungs as far as they are complete: none is judged before all of it ended.

    Raises:
        NotAnswerable: Every rate of a rung diverged or could not run.
    """
    order = tuple(range(len(course.rates)))
    for rung in range(RUNGS):
        entries = [job.history.get(f"race-{rung}-{index}") for index in order]
        if not all(entry is not None and entry.ended for entry in entries):
            return Standing(rung=rung, order=order)
        ranked = _ranked(job, rung, order)
        if not ranked:
            raise _all_diverged(job, course, rung, order)
        if _anyone_reached(job, ranked):
            return Standing(rung=RUNGS, order=ranked)
        order = ranked[: max(1, len(order) // 2)] if rung < RUNGS - 1 else ranked
    return Standing(rung=RUNGS, order=order)


def rung_run(job: Job, course: Course, rung: int, index: int) -> TrainingRun:
    """Make the request of one rate in one rung; it goes on from its last checkpoint."""
    before = last_run(job, index)
    return training_run(
        job,
        f"race-{rung}-{index}",
        global_batch_size=course.batch,
        learning_rate=course.rates[index],
        seed=job.training_seed("search", 0),
        max_steps=course.rung_steps * 2**rung,
        cadence_seconds=course.cadence_seconds,
        target=getattr(job.spec.objective, "target", None),
        measure=Measure(noise_windows=RUNG_NOISE_WINDOWS),
        resume_from=before.result.checkpoint if before else None,
        checkpoint=True,
    )


def _new_steps(course: Course, rung: int) -> int:
    """Steps of a rung beyond those of the one before."""
    before = course.rung_steps * 2 ** (rung - 1) if rung else 0
    return int(course.rung_steps * 2**rung - before)


def _ranked(job: Job, rung: int, order: Sequence[int]) -> tuple[int, ...]:
    """Rank rates, best first; those that diverged or could not run are left out."""
    metric = job.spec.objective.metric
    sign = -1.0 if curve.HIGHER_IS_BETTER[metric] else 1.0
    standing: list[tuple[float, float, int]] = []
    for index in order:
        run = last_run(job, index)
        value = None if run is None else final_metric(run)
        entry = job.history.get(f"race-{rung}-{index}")
        if run is None or value is None or (entry is not None and entry.problem is not None):
            continue
        crossed = run.result.crossing_steps
        reached = run.result.outcome is Outcome.REACHED and crossed is not None
        standing.append((crossed or 0.0 if reached else math.inf, sign * value, index))
    return tuple(index for *_, index in sorted(standing))


def _anyone_reached(job: Job, order: Sequence[int]) -> bool:
    run = last_run(job, order[0])
    return run is not None and run.result.outcome is Outcome.REACHED


def _no_race(job: Job, course: Course) -> str | None:
    assert job.findings.inspect is not None  # noqa: S101  (stages run in order)
    if job.findings.inspect.facts.synthetic:
        return "synthetic"
    return "budget" if course.rung_steps < MIN_RUNG_STEPS else None


def _outcome(job: Job, course: Course, found: reference.Reference) -> RaceOutcome:
    index = course.rates.index(found.learning_rate)
    warnings = list(found.warnings)
    if index in {0, len(course.rates) - 1}:
        end = "low" if index == 0 else "high"
        warnings.append(
            Caution(
                code="learning_rate_at_edge",
                detail=f"The race was won by the {end} end of the learning rates "
                f"({found.learning_rate:.3g}): better ones may lie outside "
                "search_space.learning_rate.",
            )
        )
    noise = noise_scale(_windows(job))
    if noise.estimate is None:
        warnings.append(
            Caution(
                code="noise_scale_unresolved",
                detail=f"The gradient noise scale stayed unresolved over {noise.windows} windows; "
                "critical_batch_size is null and the search leans on its trials alone.",
            )
        )
    return RaceOutcome(
        batch=course.batch,
        cadence_seconds=course.cadence_seconds,
        learning_rate=found.learning_rate,
        target=found.target,
        target_origin=found.target_origin,
        reference_steps=found.steps,
        noise=noise,
        runs=tuple(job.history.runs("race")),
        warnings=tuple(warnings),
    )


def _windows(job: Job) -> tuple[NoiseWindow, ...]:
    """Pool the windows of every run that got past the first rung and did not diverge.

    One run's estimate scatters by a factor of two to three, and a rate that is almost too high
    shows more noise than one at which training is steady.
    """
    return tuple(
        window
        for run in job.history.runs("race")
        if not run.request.id.startswith("race-0-") and run.result.outcome is not Outcome.DIVERGED
        for window in run.result.noise
    )


def _all_diverged(job: Job, course: Course, rung: int, order: Sequence[int]) -> NotAnswerable:
    problems = [
        entry.problem
        for entry in job.history.of("race")
        if isinstance(entry.request, TrainingRun) and entry.problem is not None
    ]
    if problems and len(problems) >= len(order):
        return NotAnswerable(
            f"Every training run failed; the first one: {problems[0].detail}",
            code=problems[0].code,
            traceback=problems[0].traceback,
            facts={"rung": rung},
        )
    return NotAnswerable(
        f"Every learning rate from {course.rates[0]:.3g} to {course.rates[-1]:.3g} diverged at "
        f"batch {course.batch}. Lower search_space.learning_rate.low, or check the data's scale.",
        code="all_runs_diverged",
        pointer="/search_space/learning_rate",
        facts={"learning_rates": list(course.rates), "global_batch_size": course.batch},
    )
