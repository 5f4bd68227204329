"""The parts of an answer that show why: intervals, candidates, the Pareto set, warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

from tuner import curve
from tuner.deciding.comparison import Contender, asam_of, interval
from tuner.deciding.confirm import Confirmation
from tuner.deciding.history import Run
from tuner.deciding.job import Job
from tuner.deciding.runs import final_metric, plan_seconds, steps_to, throughput_of
from tuner.deciding.score import metric_of_score
from tuner.deciding.timing import MAX_SPREAD
from tuner.recommendation import Candidate, Caution, Interval, SharpnessAnswer, TimeInterval

CALIBRATION_TOLERANCE: Final = 0.05
"""Calibrated time and wall clock of the confirming runs may differ by this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a contender was worth, in the units of its goal.

    Args:
        reached: Runs that reached the target or the end of their budget.
        time: Seconds to the target, for a time goal.
        metric: The metric at the end, for a metric goal.
    """

    reached: int
    time: TimeInterval | None = None
    metric: Interval | None = None


def scored(job: Job, contender: Contender | None) -> Scored:
    """Turn scores back into seconds or a metric, with a 95 % t-interval where no run missed."""
    plan = job.findings.plan
    if contender is None or plan is None or plan.goal is None or not contender.reached:
        return Scored(reached=0)
    known = [score for score in contender.scores if score is not None]
    ends: tuple[float, float] | None = None
    if len(known) == len(contender.done) and len(known) > 1:
        _, *both = interval(known)
        ends = (both[0], both[1])
    if plan.goal.kind == "time":
        low, high = (math.exp(ends[0]), math.exp(ends[1])) if ends else (None, None)
        time = TimeInterval(
            estimate=math.exp(contender.expected), low=low, high=high, runs=len(contender.done)
        )
        return Scored(reached=contender.reached, time=time)
    metric = job.spec.objective.metric
    values = [metric_of_score(end, metric) for end in ends] if ends else [None, None]
    low, high = sorted(values, key=lambda value: value or 0.0)
    estimate = metric_of_score(contender.expected, metric)
    return Scored(reached=contender.reached, metric=Interval(estimate=estimate, low=low, high=high))


def candidate(job: Job, contender: Contender) -> Candidate:
    """Describe a contender."""
    worth = scored(job, contender)
    plan = throughput_of(job).plans[contender.global_batch_size]
    finals = [final_metric(one.run) for one in contender.done if one.run is not None]
    known = [value for value in finals if value is not None]
    return Candidate(
        global_batch_size=contender.global_batch_size,
        micro_batch_size=plan.micro_batch_size,
        gradient_accumulation_steps=plan.gradient_accumulation_steps,
        learning_rate=contender.learning_rate,
        runs=len(contender.done),
        runs_reached=worth.reached,
        time_to_target_seconds=worth.time,
        final_metric=fmean(known) if known else None,
        sharpness=sharpness(contender),
    )


def sharpness(contender: Contender | None) -> SharpnessAnswer | None:
    """Average each measure over the runs that have it."""
    measured = [
        one.run.result.sharpness
        for one in (contender.done if contender else ())
        if one.run is not None and one.run.result.sharpness is not None
    ]
    if not measured:
        return None
    return SharpnessAnswer(
        asam=_mean([one.asam for one in measured]),
        keskar=_mean([one.keskar for one in measured]),
        hessian_top_eigenvalue=_mean([one.hessian_top_eigenvalue for one in measured]),
    )


def pareto(job: Job, contenders: Sequence[Contender]) -> list[Candidate]:
    """Keep the contenders that no other beats both in score and in ASAM sharpness."""
    points = [(one.expected, asam_of(one), one) for one in contenders if one.reached]
    front = []
    for score, flatness, one in points:
        beaten = any(
            other is not one
            and other_score <= score
            and (other_flatness or math.inf) <= (flatness or math.inf)
            and (other_score, other_flatness) != (score, flatness)
            for other_score, other_flatness, other in points
        )
        if not beaten:
            front.append(candidate(job, one))
    return front


def critical_batch_size(job: Job) -> Interval | None:
    """The gradient noise scale over the race's winner; None where unresolved."""
    noise = job.findings.race.noise if job.findings.race else None
    if noise is None or noise.estimate is None:
        return None
    return Interval(estimate=noise.estimate, low=noise.low, high=noise.high)


def closest_metric(job: Job) -> float | None:
    """The best smoothed metric that any run of the job came to."""
    metric = job.spec.objective.metric
    stages = ("verify", "race", "search", "confirm")
    runs = [run for stage in stages for run in job.history.runs(stage)]
    values = [curve.best_value(run.result.curve, metric) for run in runs]
    known = [value for value in values if value is not None]
    if not known:
        return None
    return max(known) if curve.HIGHER_IS_BETTER[metric] else min(known)


def warnings(job: Job, chosen: Confirmation, contender: Contender | None) -> list[Caution]:
    """Gather what every stage has to say, and what the whole shows."""
    found = job.findings
    said: list[Caution] = []
    for part in (found.inspect, found.memory, found.verify, found.race, found.plan, found.search):
        said += part.warnings if part is not None else ()
    said += _about_time(job)
    if contender is not None:
        said += _about_confirmation(job, chosen, contender)
    if job.over:
        said.append(
            Caution(
                code="budget_exhausted",
                detail="The budget ended before the plan did; the answer is the best of what had "
                "been measured by then.",
            )
        )
    return said


def _about_time(job: Job) -> list[Caution]:
    timing = throughput_of(job)
    said = []
    if timing.spread > MAX_SPREAD:
        said.append(
            Caution(
                code="timing_unsteady",
                detail=f"Step times varied by up to {timing.spread:.0%} between windows: the "
                "machine was not quiet, and times to target are less certain than stated.",
            )
        )
    ratio = calibration_ratio(job)
    if ratio is not None and abs(ratio - 1.0) > CALIBRATION_TOLERANCE:
        said.append(
            Caution(
                code="calibration_off",
                detail=f"The confirming runs took {ratio:.2f} times their calibrated time by the "
                "wall clock: the machine was busier, or throttled, in one of the two.",
            )
        )
    return said


def calibration_ratio(job: Job) -> float | None:
    """Median over confirming runs of wall seconds to calibrated seconds of their steps."""
    ratios = [
        run.result.train_seconds / (run.result.train_steps * plan_seconds(job, run.request.plan))
        for run in [*job.history.runs("verify"), *job.history.runs("confirm")]
        if run.result.train_steps
    ]
    return median(ratios) if ratios else None


def _about_confirmation(job: Job, chosen: Confirmation, contender: Contender) -> list[Caution]:
    said = []
    if not chosen.confirmed:
        said.append(
            Caution(
                code="not_confirmed",
                detail="The budget left no run on unseen seeds: the answer rests on the search's "
                "own run, and carries no interval.",
            )
        )
    missed = len(contender.done) - contender.reached
    target = job.findings.race.target if job.findings.race else None
    plan = job.findings.plan
    timed = target is not None and plan is not None and plan.evidence == "full"
    if missed and timed and not contender.reached:
        said.append(_not_reached(job, target))
    elif missed:
        said.append(
            Caution(
                code="target_missed",
                detail=f"{missed} of {len(contender.done)} runs of the answer did not get there; "
                "the time counts what they cost, and has no interval.",
            )
        )
    if chosen.rivals:
        said.append(
            Caution(
                code="rivals_not_separated",
                detail=f"{len(chosen.rivals)} other configuration(s) could not be told apart from "
                "the answer in time, on these seeds; see rivals.",
            )
        )
    if chosen.by_sharpness:
        said.append(
            Caution(
                code="chosen_by_sharpness",
                detail="Among configurations that time could not tell apart, the one with the "
                "lower ASAM sharpness was chosen. That promises no better generalisation.",
            )
        )
    if target is None or plan is None or timed:
        return said
    reached = sum(one.run is not None and _crossed(job, one.run, target) for one in contender.done)
    if 0 < reached < len(contender.done):
        said.append(
            Caution(
                code="target_missed",
                detail=f"{len(contender.done) - reached} of {len(contender.done)} runs of the "
                f"answer did not reach the target {target:.4g}; they were compared by their "
                f"{job.spec.objective.metric} at the end, not by a time.",
            )
        )
    if not reached:
        said.append(_not_reached(job, target))
    return said


def _not_reached(job: Job, target: float | None) -> Caution:
    closest = closest_metric(job)
    told = "" if closest is None else f"; the closest smoothed metric was {closest:.4g}"
    return Caution(
        code="target_not_reached",
        detail=f"The target {target:.4g} was not reached within the budget by any run of the answer"
        f"{told}. The metric is {job.spec.objective.metric}.",
    )


def _crossed(job: Job, run: Run, target: float) -> bool:
    return steps_to(job, run, target) is not None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
