"""The course of the race: laid out from throughput and budget before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from tuner.deciding.history import Run
from tuner.deciding.job import Job
from tuner.deciding.runs import throughput_of
from tuner.records import TrainingResult, TrainingRun
from tuner.spec import RateRange

RATES: Final = 8
"""Learning rates that start at most, evenly spaced on the logarithm over the range asked for."""

RUNGS: Final = 3
"""Rungs: eight rates, then four, then two; each rung doubles the steps."""

RUNG_COST: Final = 20
"""Steps of all rungs, in steps of the first: 8 + 4 + 2 * 2 + 4 for the winner to go on."""

RACE_SHARE: Final = 0.2
"""Share of the budget that the rungs may cost."""

MIN_RUNG_STEPS: Final = 4
"""A first rung below this ranks noise; the answer is then of the throughput alone."""

MAX_RUNG_STEPS: Final = 200
"""A first rung above this spends more than the ranking is worth."""

WELL_USED: Final = 0.7
"""The race runs at the smallest batch that reaches this share of the peak throughput."""

EVALUATIONS_PER_RUNG: Final = 5

BEFORE: Final = ("inspect", "memory", "timing", "verify")
"""Stages whose spending is over when the race begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How the race is run: fixed before it starts.

    Args:
        batch: Global batch size.
        rates: Learning rates, ascending.
        rung_steps: Optimizer steps of the first rung.
        cadence_seconds: Calibrated seconds between evaluations.
        seconds: Device seconds that were left when the race began.
    """

    batch: int
    rates: tuple[float, ...]
    rung_steps: int
    cadence_seconds: float
    seconds: float


def course_of(job: Job) -> Course:
    """Lay the race out: its batch from the throughput, its length from the budget."""
    timing = throughput_of(job)
    best = max(timing.samples_per_second(batch) for batch in timing.plans)
    batch = next(
        batch
        for batch in sorted(timing.plans)
        if timing.samples_per_second(batch) >= WELL_USED * best
    )
    rates = job.spec.learning_rates
    before = job.history.seconds_by_stage()
    seconds = job.budget_seconds - sum(before.get(stage, 0.0) for stage in BEFORE)
    step = timing.step_seconds[batch]
    rung_steps = int(min(_most_rung_steps(job, batch), RACE_SHARE * seconds / (RUNG_COST * step)))
    cadence = max(
        math.ceil(rung_steps / EVALUATIONS_PER_RUNG),
        math.ceil(2.0 * timing.evaluation_seconds / step),
    )
    return Course(
        batch=batch,
        rates=_raced(rates),
        rung_steps=rung_steps,
        cadence_seconds=max(1, min(cadence, rung_steps)) * step,
        seconds=seconds,
    )


def _raced(rates: RateRange) -> tuple[float, ...]:
    """Spread the race over a range; where only some rates may be tried, over those."""
    spread = [float(rate) for rate in np.geomspace(rates.low, rates.high, RATES)]
    return tuple(dict.fromkeys(rates.nearest(rate) for rate in spread))


def last_run(job: Job, index: int) -> Run | None:
    """Return the longest run of a rate so far."""
    for rung in reversed(range(RUNGS)):
        entry = job.history.get(f"race-{rung}-{index}")
        if entry is None:
            continue
        request, result = entry.request, entry.result
        if isinstance(request, TrainingRun) and isinstance(result, TrainingResult):
            return Run(request=request, result=result)
    return None


def _most_rung_steps(job: Job, batch: int) -> int:
    """One pass over the data, within bounds: a longer rung ranks hardly better."""
    assert job.findings.inspect is not None  # noqa: S101  (stages run in order)
    epoch = math.ceil(job.findings.inspect.facts.num_train / batch)
    return min(MAX_RUNG_STEPS, max(50, epoch))
