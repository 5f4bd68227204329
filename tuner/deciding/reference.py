"""The race's winner, run to the end: steps to the target, or the target itself.

With a target from the user the winner trains until it is reached. Without one it trains to a
horizon on three seeds, and the target is the median of their smoothed metric at 90 % of it,
loosened by a stated margin, so that a lucky run does not set it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tuner import curve
from tuner.deciding.course import RACE_SHARE, Course, last_run
from tuner.deciding.history import Run
from tuner.deciding.job import Job
from tuner.deciding.limits import (
    MIN_RUNS,
    MIN_TRIALS,
    TARGET_SEEDS,
    USUAL_RUNS,
    USUAL_TRIALS,
    reference_runs,
)
from tuner.deciding.runs import steps_to, throughput_of, training_run
from tuner.errors import NotAnswerable
from tuner.recommendation import Caution
from tuner.records import Measure, NoiseWindow, Outcome, TrainingResult, TrainingRun
from tuner.spec import LossAtBudget

REFERENCE_SHARE: Final = 0.18
"""Share of the budget that the winner may spend on its way to the user's target."""

TARGET_POINT: Final = 0.9
"""Share of the horizon at which the automatic target is read off."""

TARGET_MARGIN: Final = 0.01
"""An automatic target is loosened by this share."""

MIN_STEPS: Final = 200
"""Fewer steps than this measure the noise of a start, not the speed of training."""

HORIZON_RUNGS: Final = 16
"""A default horizon is this many times as long as the first rung of the race."""

CANDIDATES: Final = 3
"""How many of the race's best may diverge on the long run before it is given up."""

NOISE_WINDOWS: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the winner showed.

    Args:
        learning_rate: Its rate.
        steps: To the target, or to the planned end; None if it did not get there.
        target: Value to reach, or None.
        target_origin: `user`, `automatic` or `none`.
        noise: Windows of all its runs.
        warnings: Sentences for the user.
    """

    learning_rate: float
    steps: float | None
    target: float | None
    target_origin: str
    noise: tuple[NoiseWindow, ...]
    warnings: tuple[Caution, ...] = ()


def finding(job: Job, course: Course, order: Sequence[int]) -> Reference | None:
    """Read the reference, once it is complete.

    Raises:
        NotAnswerable: All that were tried diverged, or the horizon is too short for a target.
    """
    winner = _winner(job, order)
    if winner is None:
        return None
    index, run = winner
    noise = run.result.noise
    rate = course.rates[index]
    objective = job.spec.objective
    if isinstance(objective, LossAtBudget):
        planned = _asked_steps(job, course)
        done = run.result.steps >= planned
        return Reference(
            learning_rate=rate,
            steps=float(planned) if done else None,
            target=None,
            target_origin="none",
            noise=noise,
        )
    if objective.target is not None:
        return Reference(
            learning_rate=rate,
            steps=run.result.crossing_steps,
            target=objective.target,
            target_origin="user",
            noise=noise,
            warnings=_too_easy(run.result.crossing_steps),
        )
    if _cut(job, course):
        return Reference(
            learning_rate=rate, steps=None, target=None, target_origin="none", noise=noise
        )
    return _automatic(job, course, index, run)


def wants(job: Job, course: Course, order: Sequence[int]) -> tuple[TrainingRun, ...]:
    """Ask for the winner's long run, then for its replicates where the target is ours to set."""
    winner = _winner(job, order)
    if winner is None:
        rank = _rank(job, order)
        request_id = f"race-reference-{rank}"
        if request_id in job.history:
            return ()
        return (_long_run(job, course, request_id, order[rank]),)
    if getattr(job.spec.objective, "target", 0.0) is not None or _cut(job, course):
        return ()
    requests = (
        _long_run(job, course, f"race-target-{k}", winner[0], replicate=k)
        for k in range(1, TARGET_SEEDS)
    )
    return tuple(one for one in requests if one.id not in job.history)


def _automatic(job: Job, course: Course, index: int, run: Run) -> Reference | None:
    runs = [run]
    for replicate in range(1, TARGET_SEEDS):
        entry = job.history.get(f"race-target-{replicate}")
        if entry is None or not entry.ended:
            return None
        request, result = entry.request, entry.result
        if isinstance(request, TrainingRun) and isinstance(result, TrainingResult):
            runs.append(Run(request=request, result=result))
    horizon = _steps(job, course)
    values = [_value_at(one, TARGET_POINT * horizon) for one in runs]
    finite = [value for value in values if value is not None]
    if len(finite) < TARGET_SEEDS - 1:
        raise NotAnswerable(
            "No automatic target could be set: the winning learning rate diverged on "
            f"{TARGET_SEEDS - len(finite)} of {TARGET_SEEDS} seeds. Name objective.target, or "
            "lower search_space.learning_rate.high.",
            code="no_automatic_target",
            pointer="/objective/target",
        )
    higher = curve.HIGHER_IS_BETTER[job.spec.objective.metric]
    target = median(finite) * (1.0 - TARGET_MARGIN if higher else 1.0 + TARGET_MARGIN)
    crossings = [steps_to(job, one, target) for one in runs]
    reached = [steps for steps in crossings if steps is not None]
    return Reference(
        learning_rate=course.rates[index],
        steps=median(reached) if reached else None,
        target=target,
        target_origin="automatic",
        noise=tuple(window for one in runs for window in one.result.noise),
        warnings=(
            Caution(
                code="automatic_target",
                detail=f"The target {target:.4g} was measured: the median over "
                f"{len(finite)} seeds of the smoothed {job.spec.objective.metric} after "
                f"{int(TARGET_POINT * horizon)} steps at batch {course.batch}, loosened by "
                f"{TARGET_MARGIN:.0%}. It cost "
                f"{sum(one.result.device_seconds for one in runs):.1f} device seconds.",
            ),
            *_too_easy(median(reached) if reached else None, way_out="a longer horizon_samples"),
        ),
    )


def _winner(job: Job, order: Sequence[int]) -> tuple[int, Run] | None:
    """The first of the race's best whose long run did not diverge, once it has ended.

    One that stayed short of the target gives way to the next: a seed may have been stuck, or the
    rate a quick starter. If all of them do, the first stands.
    """
    slow: tuple[int, Run] | None = None
    for rank, index in enumerate(order[:CANDIDATES]):
        before = last_run(job, index)
        if before is not None and before.result.outcome is Outcome.REACHED:
            return index, before
        entry = job.history.get(f"race-reference-{rank}")
        if entry is None or not entry.ended:
            return None
        request, result = entry.request, entry.result
        if not isinstance(request, TrainingRun) or not isinstance(result, TrainingResult):
            continue
        run = Run(request=request, result=result)
        short = result.outcome is Outcome.CENSORED and request.target is not None
        if short:
            slow = slow or (index, run)
        elif result.outcome in {Outcome.REACHED, Outcome.CENSORED}:
            return index, run
    if slow is not None:
        return slow
    raise NotAnswerable(
        f"The best {min(CANDIDATES, len(order))} learning rates of the race all diverged on the "
        "long run. Lower search_space.learning_rate, or set training.gradient_clip_norm.",
        code="all_runs_diverged",
        pointer="/search_space/learning_rate",
    )


def _rank(job: Job, order: Sequence[int]) -> int:
    rank = 0
    while rank + 1 < min(CANDIDATES, len(order)):
        entry = job.history.get(f"race-reference-{rank}")
        if entry is None or not entry.ended:
            break
        rank += 1
    return rank


def _long_run(
    job: Job, course: Course, request_id: str, index: int, replicate: int = 0
) -> TrainingRun:
    before = last_run(job, index) if replicate == 0 else None
    return training_run(
        job,
        request_id,
        global_batch_size=course.batch,
        learning_rate=course.rates[index],
        seed=job.training_seed("search", replicate),
        max_steps=_steps(job, course),
        cadence_seconds=course.cadence_seconds,
        target=getattr(job.spec.objective, "target", None),
        measure=Measure(noise_windows=NOISE_WINDOWS),
        resume_from=before.result.checkpoint if before else None,
    )


def _steps(job: Job, course: Course) -> int:
    """How long the winner may run, in steps: what is asked for, or what the budget holds."""
    objective = job.spec.objective
    if not isinstance(objective, LossAtBudget) and objective.target is not None:
        return max(_affordable(job, course, REFERENCE_SHARE), 8 * course.rung_steps)
    asked = _asked_steps(job, course)
    return min(asked, _affordable_horizon(job, course))


def _cut(job: Job, course: Course) -> bool:
    """Whether the budget holds fewer steps than an automatic target needs."""
    needed = MIN_STEPS
    if getattr(job.spec.objective, "horizon_samples", None) is not None:
        needed = _asked_steps(job, course)
    return _steps(job, course) < needed


def _asked_steps(job: Job, course: Course) -> int:
    """Steps to the horizon, or of the training budget, at the race's batch.

    Raises:
        NotAnswerable: The horizon that was asked for is too short to set a target.
    """
    objective = job.spec.objective
    if isinstance(objective, LossAtBudget):
        return budget_steps(objective, course.batch, throughput_of(job).step_seconds)
    if objective.horizon_samples is None:
        return max(MIN_STEPS * 2, HORIZON_RUNGS * course.rung_steps)
    steps = objective.horizon_samples // course.batch
    if steps < MIN_STEPS:
        raise NotAnswerable(
            f"objective.horizon_samples {objective.horizon_samples} is {steps} steps at batch "
            f"{course.batch}; a target needs at least {MIN_STEPS}. Ask for "
            f"{MIN_STEPS * course.batch} samples or more.",
            code="horizon_too_short",
            pointer="/objective/horizon_samples",
            facts={"steps": steps, "samples_needed": MIN_STEPS * course.batch},
        )
    return steps


def _affordable_horizon(job: Job, course: Course) -> int:
    """Steps of one run if the whole job, target, search and confirmation, is to fit.

    A horizon of ours leaves room for a usual search; one that was asked for, for the least.
    """
    trials, runs = min(USUAL_TRIALS, job.spec.budget.max_trials), USUAL_RUNS
    if getattr(job.spec.objective, "horizon_samples", 0) is not None:
        trials, runs = min(MIN_TRIALS, job.spec.budget.max_trials), MIN_RUNS
    share = (1.0 - RACE_SHARE) / reference_runs(trials=trials, runs=runs)
    return _affordable(job, course, share)


def _affordable(job: Job, course: Course, share: float) -> int:
    """Steps that a share of the budget pays for, evaluations included."""
    step = throughput_of(job).run_seconds(course.batch, 1.0, course.cadence_seconds)
    return max(1, int(share * course.seconds / step))


def budget_steps(objective: LossAtBudget, batch: int, step_seconds: Mapping[int, float]) -> int:
    """Optimizer steps that a training budget holds at a batch."""
    if objective.budget_samples is not None:
        return max(1, objective.budget_samples // batch)
    assert objective.budget_seconds is not None  # noqa: S101  (the spec has one of the two)
    return max(1, int(objective.budget_seconds / step_seconds[batch]))


def _value_at(run: Run, step: float) -> float | None:
    """The smoothed metric at the last evaluation up to a step; None of a diverged run."""
    if run.result.outcome is Outcome.DIVERGED:
        return None
    values = curve.smoothed(run.result.curve)
    seen = [v for p, v in zip(run.result.curve, values, strict=True) if p.step <= step]
    return seen[-1] if seen and math.isfinite(seen[-1]) else None


def _too_easy(steps: float | None, way_out: str = "a harder target") -> tuple[Caution, ...]:
    if steps is None or steps >= MIN_STEPS:
        return ()
    return (
        Caution(
            code="target_too_easy",
            detail=f"The target took only {steps:.0f} steps; below {MIN_STEPS} the time to it "
            f"says more about the start than about training. Ask for {way_out}.",
        ),
    )
