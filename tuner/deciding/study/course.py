"""How long a study takes, predicted from what it has measured so far."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean

from tuner.deciding.study import gradients, landscape, line, minima
from tuner.deciding.study.arms import plans
from tuner.deciding.study.job import StudyJob


def predicted_seconds(job: StudyJob) -> float | None:
    """Predict the device seconds of the whole study.

    A run that has not ended costs what runs of its arm have cost, or else those of all arms;
    a probe that was not made costs what others of its stage have.

    Returns:
        Seconds spent and still to come, the budget at most; None before a run has ended.
    """
    spent = job.history.device_seconds
    if not any(entry.ended for entry in job.history.of("train")):
        return None
    left = _training(job) + _probing(job)
    return min(spent + left, max(spent, job.budget_seconds))


def _training(job: StudyJob) -> float:
    if job.findings.train is not None:
        return 0.0
    costs: dict[str, list[float]] = defaultdict(list)
    for entry in job.history.of("train"):
        if entry.ended:
            costs[_arm(entry.request.id)].append(entry.device_seconds)
    usual = fmean(cost for each in costs.values() for cost in each)
    arms = [_arm(plan.request_id("train", 0)) for plan in plans(job)]
    return sum(
        max(0, job.spec.seeds - len(costs[arm])) * fmean(costs[arm] or [usual]) for arm in arms
    )


def _probing(job: StudyJob) -> float:
    if job.findings.train is None:
        return 0.0
    left = 0.0
    for stage in (minima, gradients, line, landscape):
        names = [probe.id for probe in stage.probes(job)]
        entries = [entry for name in names if (entry := job.history.get(name)) is not None]
        done = [entry.device_seconds for entry in entries if entry.ended]
        left += (len(names) - len(done)) * (fmean(done) if done else 0.0)
    return left


def _arm(request_id: str) -> str:
    return request_id.rpartition("-")[0]
