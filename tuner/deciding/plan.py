"""Plan: what the rest of the budget holds, said openly before it is spent.

Three kinds of evidence: `full` (the target is reached by every comparison), `proxy` (a
truncated horizon stands in for it) and `throughput_only` (nothing was learned about learning).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tuner.deciding.job import Job, Wants
from tuner.deciding.limits import (
    CONFIRM_COST,
    CONFIRM_SHARE,
    MAX_RUNS,
    MIN_RUNS,
    MIN_TRIALS,
    SEARCH_LIMIT,
)
from tuner.deciding.race import RaceOutcome
from tuner.deciding.reference import budget_steps
from tuner.deciding.runs import throughput_of
from tuner.recommendation import Caution
from tuner.spec import LossAtBudget

PROXY_TRIALS: Final = 12
"""Trials of a proxy at most: fewer, longer ones say more about training than many short ones."""

MIN_PROXY_STEPS: Final = 10
"""A proxy of fewer steps than this at the race's batch says nothing about training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What every run of search and confirmation is scored by.

    Args:
        kind: `time` (calibrated seconds to the target) or `metric` (its value at the end).
        target: For `time`.
        budget_samples: For `metric`: samples each run trains on, or None.
        budget_seconds: For `metric`: calibrated seconds each run trains for, or None.
        cadence_seconds: Calibrated seconds between evaluations.
    """

    kind: str
    target: float | None = None
    budget_samples: int | None = None
    budget_seconds: float | None = None
    cadence_seconds: float

    def steps(self, global_batch_size: int, step_seconds: float) -> int:
        """Steps of a run at a batch, for `metric`."""
        if self.budget_samples is not None:
            return max(1, self.budget_samples // global_batch_size)
        assert self.budget_seconds is not None  # noqa: S101  (a metric goal has one of the two)
        return max(1, int(self.budget_seconds / step_seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the rest of the budget is spent.

    Args:
        evidence: `full`, `proxy` or `throughput_only`.
        goal: What runs are scored by; None where nothing is trained any more.
        trials: Search trials.
        confirm_seconds: Device seconds set aside for confirmation.
        predicted_seconds: Device seconds of the whole job, what is spent included.
        warnings: Sentences for the user.
    """

    evidence: str
    goal: Goal | None
    trials: int
    confirm_seconds: float
    predicted_seconds: float
    warnings: tuple[Caution, ...] = ()


def finding(job: Job) -> Plan:
    """Weigh what a full job costs against what is left."""
    race = job.findings.race
    assert race is not None  # noqa: S101  (stages run in order)
    if race.without is not None:
        return _throughput_only(job, race.without)
    return _full(job, race) or _proxy(job, race)


def wants(job: Job) -> Wants:  # noqa: ARG001  (a plan measures nothing)
    """Ask for nothing: a plan is arithmetic."""
    return Wants()


def _full(job: Job, race: RaceOutcome) -> Plan | None:
    """Plan the whole comparison, or return None where the budget does not hold it."""
    if race.reference_steps is None:
        return None
    timing = throughput_of(job)
    objective = job.spec.objective
    if isinstance(objective, LossAtBudget):
        goal = Goal(
            kind="metric",
            budget_samples=objective.budget_samples,
            budget_seconds=objective.budget_seconds,
            cadence_seconds=race.cadence_seconds,
        )
        wanted = budget_steps(objective, race.batch, timing.step_seconds)
        if race.reference_steps < wanted:
            return None
        longest = max(
            timing.run_seconds(
                batch, goal.steps(batch, timing.step_seconds[batch]), goal.cadence_seconds
            )
            for batch in timing.plans
        )
        search_seconds = confirm_seconds = longest
    else:
        goal = Goal(kind="time", target=race.target, cadence_seconds=race.cadence_seconds)
        one = timing.run_seconds(race.batch, race.reference_steps, race.cadence_seconds)
        search_seconds, confirm_seconds = SEARCH_LIMIT * one, CONFIRM_COST * one
    least = MIN_RUNS * confirm_seconds
    trials = int((job.remaining_seconds - least) / search_seconds)
    # A target that the race's winner reached is compared by, however few trials there are: a
    # proxy would rank by something else, and its answer may never come to the target.
    enough = MIN_TRIALS if goal.kind == "metric" else 1
    if trials < min(enough, job.spec.budget.max_trials):
        return None
    reserve = max(least, min(CONFIRM_SHARE * job.budget_seconds, job.remaining_seconds / 2.0))
    trials = min(job.spec.budget.max_trials, max(trials, 1))
    return Plan(
        evidence="full",
        goal=goal,
        trials=trials,
        confirm_seconds=reserve,
        predicted_seconds=job.history.device_seconds
        + min(trials * search_seconds, job.remaining_seconds - least)
        + min(reserve, MAX_RUNS * confirm_seconds),
    )


def _proxy(job: Job, race: RaceOutcome) -> Plan:
    """Spend what is left on a truncated horizon, or, if even that is too short, on nothing."""
    timing = throughput_of(job)
    step = timing.step_seconds[race.batch]
    trials = min(job.spec.budget.max_trials, PROXY_TRIALS)
    reserve = min(CONFIRM_SHARE * job.budget_seconds, job.remaining_seconds / 3.0)
    overhead = timing.run_seconds(race.batch, 1.0, race.cadence_seconds) / step
    seconds = (job.remaining_seconds - reserve) / trials / overhead
    longest = _longest_useful(job, race)
    seconds = seconds if longest is None else min(seconds, longest * step)
    if job.over or seconds < MIN_PROXY_STEPS * step:
        return _throughput_only(job, "stopped" if job.over else "budget")
    goal = Goal(kind="metric", budget_seconds=seconds, cadence_seconds=race.cadence_seconds)
    return Plan(
        evidence="proxy",
        goal=goal,
        trials=trials,
        confirm_seconds=reserve,
        predicted_seconds=job.history.device_seconds
        + trials * seconds * overhead
        + min(reserve, 6 * seconds * overhead),
        warnings=(
            Caution(
                code="proxy_evidence",
                detail=f"The budget does not hold runs to the end: configurations were compared "
                f"by their {job.spec.objective.metric} after {seconds:.3g} calibrated seconds of "
                "training. Early loss favours low noise, and the critical batch size grows "
                "during training: a longer budget may prefer larger batches and other rates.",
            ),
        ),
    )


def _longest_useful(job: Job, race: RaceOutcome) -> float | None:
    """Steps at the race's batch beyond which a proxy would no longer be one, if known."""
    objective = job.spec.objective
    if isinstance(objective, LossAtBudget):
        return float(budget_steps(objective, race.batch, throughput_of(job).step_seconds))
    if objective.horizon_samples is not None:
        return objective.horizon_samples / race.batch
    return None


def _throughput_only(job: Job, reason: str) -> Plan:
    return Plan(
        evidence="throughput_only",
        goal=None,
        trials=0,
        confirm_seconds=0.0,
        predicted_seconds=job.history.device_seconds,
        warnings=(Caution(code="learning_rate_not_tuned", detail=_REASONS[reason]),),
    )


_REASONS: Final = {
    "synthetic": "The data are generated, so nothing can be said about learning: the answer is "
    "the batch of the best throughput, and learning_rate is null.",
    "budget": "The budget does not hold even a race between learning rates: the answer is the "
    "batch of the best throughput, and learning_rate is null. Raise budget.timeout_seconds or "
    "budget.max_device_seconds.",
    "stopped": "The budget ended during the race between learning rates: the answer is the batch "
    "of the best throughput, and learning_rate is null. Raise budget.timeout_seconds or "
    "budget.max_device_seconds.",
}
