"""Train: every arm on every seed, seed after seed, so that an early end leaves whole seeds."""

from __future__ import annotations

from typing import Final

from tuner.deciding.errand import Wants, failure_of, stopped_early
from tuner.deciding.study.arms import ArmPlan, Trained, plans, trained
from tuner.deciding.study.job import StudyJob
from tuner.records import StudyRun

TRAINING_SHARE: Final = 2.0 / 3.0
"""Share of the budget that training may take: a minimiser nobody looks at tells little. On a small
perceptron the probes took as long as the training, on larger models they take less of it."""


def finding(job: StudyJob) -> tuple[Trained, ...] | None:
    """Collect the runs, once all have ended or the budget for training has.

    Raises:
        TunerError: No run ever gave a result.
    """
    if not job.over and (job.history.open("train") or wants(job).requests):
        return None
    arms = trained(job)
    if any(run.result is not None for one in arms for run in one.runs):
        return arms
    failed = [entry for entry in job.history.of("train") if entry.problem is not None]
    raise failure_of(failed[0]) if failed else stopped_early(job, "train")


def wants(job: StudyJob) -> Wants:
    """Ask for all runs that were not started, the first seed first."""
    if remaining_seconds(job) <= 0.0:
        return Wants()
    runs = [
        study_run(job, plan, replicate)
        for replicate in range(job.spec.seeds)
        for plan in plans(job)
        if plan.request_id("train", replicate) not in job.history
    ]
    return Wants(requests=tuple(runs))


def remaining_seconds(job: StudyJob) -> float:
    """Device seconds that training may still take."""
    return max(0.0, TRAINING_SHARE * job.budget_seconds - job.history.device_seconds)


def study_run(job: StudyJob, plan: ArmPlan, replicate: int) -> StudyRun:
    """Make the request for one run; its deadline is the end of the budget for training."""
    return StudyRun(
        id=plan.request_id("train", replicate),
        workload=job.workload(plan.rule),
        global_batch_size=plan.batch_size,
        micro_batch_size=plan.micro_batch_size,
        learning_rate=plan.learning_rate,
        seed=job.study_seed(replicate),
        max_epochs=job.spec.max_epochs,
        patience_epochs=job.spec.patience_epochs,
        device_kind=job.device_kind,
        deadline_seconds=max(1.0, remaining_seconds(job) / max(1, job.slots)),
    )
