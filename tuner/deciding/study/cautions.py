"""Cautions: what a study could not measure, or measured under doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.deciding.history import stage_of
from tuner.deciding.study import gradients, landscape, line, minima
from tuner.deciding.study.arms import Trained, plans
from tuner.deciding.study.claims.claim import MIN_SEEDS
from tuner.deciding.study.job import StudyJob
from tuner.deciding.timing import MAX_SPREAD
from tuner.recommendation import Caution
from tuner.records import LineProfile


def cautions(job: StudyJob, arms: Sequence[Trained]) -> tuple[Caution, ...]:
    """Return everything that the reader of a study should know.

    Args:
        job: The study.
        arms: Every arm with its runs.
    """
    return (
        *job.subject.warnings,
        *_of_timing(job),
        *_of_training(job, arms),
        *_of_probes(job),
    )


def _of_timing(job: StudyJob) -> Iterator[Caution]:
    times = job.findings.timing
    if times is not None and times.spread > MAX_SPREAD:
        yield Caution(
            code="timing_unsteady",
            detail=f"Step times differed by {times.spread:.0%} between windows: the machine was "
            "busy, and calibrated seconds are that uncertain.",
        )
    timed = {plan.batch_size for plan in plans(job) if plan.rule == "optimizer"}
    missing = [batch for batch in job.spec.batch_sizes if batch not in timed]
    if missing:
        yield Caution(
            code="batch_not_timed",
            detail=f"Batches {_listed(missing)} ran out of memory while they were timed, and were "
            "left out.",
        )


def _of_training(job: StudyJob, arms: Sequence[Trained]) -> Iterator[Caution]:
    if job.spec.seeds < MIN_SEEDS:
        yield Caution(
            code="too_few_seeds",
            detail=f"{job.spec.seeds} seeds are too few for a verdict on any claim; {MIN_SEEDS} "
            "are needed.",
        )
    wanted = len(arms) * job.spec.seeds
    ended = sum(run.result is not None or run.state == "failed" for one in arms for run in one.runs)
    if ended < wanted:
        yield Caution(
            code="budget_ended",
            detail=f"The budget ended after {ended} of {wanted} runs; what the others would have "
            "shown is missing. Raise budget.max_device_seconds or budget.timeout_seconds.",
        )
    for one in arms:
        bad = [run for run in one.runs if run.state not in {"converged", "running"}]
        if bad:
            states = sorted({run.state.replace("_", " ") for run in bad})
            yield Caution(
                code="not_converged",
                detail=f"{len(bad)} of {len(one.runs)} runs of batch {one.arm.batch_size} at rate "
                f"{one.arm.learning_rate:g} did not converge ({', '.join(states)}). Summaries are "
                "of those that did.",
            )


def _of_probes(job: StudyJob) -> Iterator[Caution]:
    wanted = [
        probe.id for stage in (minima, gradients, line, landscape) for probe in stage.probes(job)
    ]
    missing: dict[str, int] = {}
    for name in wanted:
        entry = job.history.get(name)
        if entry is None or entry.result is None:
            missing[stage_of(name)] = missing.get(stage_of(name), 0) + 1
        elif isinstance(entry.result, LineProfile) and entry.result.refused:
            yield Caution(code="line_refused", detail=entry.result.refused)
    for stage, count in missing.items():
        problems = [entry.problem.detail for entry in job.history.of(stage) if entry.problem]
        why = f" The first problem: {problems[0]}" if problems else " The budget ended first."
        yield Caution(
            code="not_measured",
            detail=f"{count} of the measurements of stage {stage} are missing.{why}",
        )


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
