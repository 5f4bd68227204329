"""Memory: the largest micro-batch that each rule of update needs, halved until it fits.

A study wants given batches and no more, so nothing is searched beyond the largest of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuner.deciding.errand import Wants, failure_of, stopped_early
from tuner.deciding.feasibility import fits, nothing_fits
from tuner.deciding.probing import ACCUMULATION
from tuner.deciding.study.job import Rule, StudyJob
from tuner.records import MemoryMeasurement, MemoryTrial


def finding(job: StudyJob) -> dict[Rule, int] | None:
    """Name the largest micro-batch of every rule, once each one was run.

    Raises:
        NoFeasibleBatch: Not even one sample fits.
        TunerError: A trial raised, or the budget ended first.
    """
    fitting = {rule: _fitting(job, rule) for rule in job.rules}
    largest = {rule: size for rule, size in fitting.items() if size is not None}
    if len(largest) == len(fitting):
        return largest
    if job.over:
        raise stopped_early(job, "memory")
    return None


def wants(job: StudyJob) -> Wants:
    """Ask for the next size of every rule whose largest one is not known."""
    open_rules = [rule for rule in job.rules if _fitting(job, rule) is None]
    trials = [_next(job, rule) for rule in open_rules]
    return Wants(requests=tuple(trial for trial in trials if trial.id not in job.history))


def _next(job: StudyJob, rule: Rule) -> MemoryTrial:
    trials = _trials(job, rule)
    size = max(1, trials[-1].micro_batch_size // 2) if trials else job.largest_batch(rule)
    return MemoryTrial(
        id=f"memory-{rule}-{len(trials)}",
        workload=job.workload(rule),
        micro_batch_size=size,
        accumulation=ACCUMULATION,
        limit_bytes=job.subject.facts.device.limit_bytes,
    )


def _fitting(job: StudyJob, rule: Rule) -> int | None:
    """Return the size of the last trial if it fitted."""
    trials = _trials(job, rule)
    if not trials:
        return None
    goal = int(job.subject.facts.device.limit_bytes * (1.0 - job.spec.hardware.memory_margin))
    if fits(trials[-1], goal):
        return trials[-1].micro_batch_size
    if trials[-1].micro_batch_size == 1:
        raise nothing_fits(trials, goal)
    return None


def _trials(job: StudyJob, rule: Rule) -> Sequence[MemoryMeasurement]:
    trials: list[MemoryMeasurement] = []
    while (entry := job.history.get(f"memory-{rule}-{len(trials)}")) is not None and entry.ended:
        if not isinstance(entry.result, MemoryMeasurement):
            raise failure_of(entry)
        trials.append(entry.result)
    return trials
