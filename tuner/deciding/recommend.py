"""Recommend: the findings of all stages, put together as one answer with its evidence."""

from __future__ import annotations

import math
from typing import Final

from tuner.deciding import evidence, posterior, stacking
from tuner.deciding.comparison import Contender
from tuner.deciding.confirm import Confirmation
from tuner.deciding.job import Findings, Job, Wants
from tuner.deciding.memory_curve import MemoryCurve
from tuner.deciding.plan import Plan
from tuner.deciding.prior import prior_of
from tuner.deciding.runs import steps_to
from tuner.deciding.scatter import trial_noise
from tuner.deciding.timing import Throughput
from tuner.recommendation import (
    DeviceAnswer,
    HeldFixed,
    RateInterval,
    Recommendation,
    Spending,
    StepSeconds,
    TimeModel,
)
from tuner.records import BatchPlan, TrainingRun
from tuner.spec import CosineSchedule, digest

ALGORITHM_VERSION: Final = 6
"""Part of the fingerprint; raised when the same measurements would give another answer."""

NEAR_PEAK: Final = 0.98
"""The throughput optimum is the smallest batch that reaches this share of the peak."""

RATE_TOLERANCE: Final = 1.10
"""The learning-rate range reaches to where the expected time is this multiple of the best."""

RATE_POINTS: Final = 81
RATE_SPAN: Final = 8.0


def finding(job: Job) -> Recommendation:
    """Put the answer together; every earlier stage has ended."""
    found = job.findings
    plan, chosen = _planned(found), _confirmed(found)
    contender = chosen.contenders[chosen.chosen] if chosen.contenders else None
    timing, memory = _timed(found), _remembered(found)
    batch = contender.global_batch_size if contender else best_throughput(timing)
    steps = timing.plans[batch]
    seconds = timing.step_seconds[batch]
    scored = evidence.scored(job, contender)
    reached = _reached(job, contender) if _target(job) is not None else scored.reached
    return Recommendation(
        micro_batch_size=steps.micro_batch_size,
        gradient_accumulation_steps=steps.gradient_accumulation_steps,
        data_parallel_size=job.spec.hardware.data_parallel_size,
        global_batch_size=batch,
        learning_rate=contender.learning_rate if contender else None,
        objective=job.spec.objective.kind,
        metric=job.spec.objective.metric,
        target=_target(job),
        target_origin=_origin(job),
        target_reached=reached > 0 if _target(job) is not None else None,
        runs=len(contender.done) if contender else 0,
        runs_reached=reached,
        closest_metric=evidence.closest_metric(job),
        evidence=plan.evidence,
        limited_by=limited_by(job, batch, contender, steps),
        time_to_target_seconds=scored.time,
        metric_at_budget=scored.metric,
        steps_to_target=scored.time.estimate / seconds if scored.time else None,
        step_time_seconds=seconds,
        wall_to_calibrated=evidence.calibration_ratio(job),
        evaluation_seconds=timing.evaluation_seconds,
        samples_per_second=timing.samples_per_second(batch),
        max_micro_batch_size=memory.max_micro_batch_size,
        peak_memory_bytes=_peak_bytes(memory, chosen, steps.micro_batch_size),
        memory_limit_bytes=memory.limit_bytes,
        memory_curve=memory.points([chosen.memory] if chosen.memory else []),
        learning_rate_range=rate_range(job, batch, contender),
        critical_batch_size=evidence.critical_batch_size(job),
        time_model=_time_model(job, batch, scored.time.estimate / seconds if scored.time else None),
        sharpness=evidence.sharpness(contender),
        device=_device(job),
        pareto=evidence.pareto(job, chosen.contenders),
        rivals=[evidence.candidate(job, chosen.contenders[i]) for i in chosen.rivals],
        held_fixed=held_fixed(job, batch),
        reused=found.verify.reused if found.verify else None,
        spending=_spending(job),
        warnings=evidence.warnings(job, chosen, contender),
        spec_digest=job.spec_digest,
        fingerprint=fingerprint(job),
    )


def wants(job: Job) -> Wants:  # noqa: ARG001  (an answer measures nothing)
    """Ask for nothing: all was measured."""
    return Wants()


def best_throughput(timing: Throughput) -> int:
    """Return the smallest batch whose throughput is within 2 % of the peak."""
    peak = max(timing.samples_per_second(batch) for batch in timing.plans)
    return min(b for b in timing.plans if timing.samples_per_second(b) >= NEAR_PEAK * peak)


def limited_by(job: Job, batch: int, contender: Contender | None, steps: BatchPlan) -> str:
    """Name what kept the answer from being another: the first that applies."""
    found = job.findings
    scope, memory = found.inspect, _remembered(found)
    assert scope is not None  # noqa: S101  (stages run in order)
    synthetic = found.race is not None and found.race.without == "synthetic"
    if (_planned(found).evidence != "full" and not synthetic) or job.over:
        return "budget"
    if (
        memory.limited
        and steps.micro_batch_size < batch
        and (2 * steps.micro_batch_size > memory.max_micro_batch_size)
    ):
        return "memory"
    if batch == max(scope.batches) and len(scope.batches) > 1:
        return "dataset" if scope.limited_by_data else "search_space"
    rates = job.spec.learning_rates
    at_edge = contender and not rates.low * 1.05 < contender.learning_rate < rates.high / 1.05
    return "search_space" if at_edge else "none"


def rate_range(job: Job, batch: int, contender: Contender | None) -> RateInterval | None:
    """Read the range of good rates off the posterior, at the answer's own batch only.

    It never reaches beyond the rates that were tried, relative to the best one of their batch.
    """
    plan, ranking = _planned(job.findings), job.findings.search
    if contender is None or plan.goal is None or ranking is None:
        return None
    at_batch = [one for one in ranking.observations if one.global_batch_size == batch]
    if len(at_batch) < 2:  # noqa: PLR2004  (one trial says nothing of a range)
        return None
    seen = [*ranking.observations, *contender.done]
    prior = prior_of(job, plan.goal)
    belief = posterior.fit(prior, seen, noise=trial_noise(job, plan.goal))
    rates = job.spec.learning_rates
    grid = [
        contender.learning_rate * RATE_SPAN ** (2.0 * i / (RATE_POINTS - 1) - 1.0)
        for i in range(RATE_POINTS)
    ]
    tried = [prior.rate(batch) / prior.rate(o.global_batch_size) * o.learning_rate for o in seen]
    low, high = max(rates.low, min(tried)), min(rates.high, max(tried))
    grid = [rate for rate in grid if low <= rate <= high]
    scores = [belief.score(batch, rate)[0] for rate in grid]
    limit = min(scores) + math.log(RATE_TOLERANCE)
    good = [rate for rate, score in zip(grid, scores, strict=True) if score <= limit]
    return RateInterval(
        low=min([*good, contender.learning_rate]), high=max([*good, contender.learning_rate])
    )


def held_fixed(job: Job, batch: int) -> HeldFixed:
    """List what was not searched, schedules also in steps at the recommended batch."""
    training = job.spec.training
    cosine = training.schedule if isinstance(training.schedule, CosineSchedule) else None
    return HeldFixed(
        optimizer=training.optimizer.model_dump(mode="json"),
        schedule=training.schedule.kind,
        gradient_clip_norm=training.gradient_clip_norm,
        warmup_samples=cosine.warmup_samples if cosine else None,
        warmup_steps=round(cosine.warmup_samples / batch) if cosine else None,
        horizon_samples=cosine.horizon_samples if cosine else None,
        horizon_steps=round(cosine.horizon_samples / batch) if cosine else None,
    )


def fingerprint(job: Job) -> str:
    """Digest all that the answer depends on: spec, budget, data, code, device, software."""
    scope = job.findings.inspect
    assert scope is not None  # noqa: S101  (stages run in order)
    facts = scope.facts
    return digest(
        {
            "spec": job.spec.model_dump(mode="json"),
            "data": facts.data_digest,
            "code": facts.code_digest,
            "device": [facts.device.kind, facts.device.name, facts.device.memory_bytes],
            "torch": ".".join(facts.device.torch_version.split(".")[:2]),
            "algorithm": ALGORITHM_VERSION,
        }
    )


def _target(job: Job) -> float | None:
    """The target that was raced for, or the user's own where there was no race."""
    raced = job.findings.race.target if job.findings.race else None
    asked: float | None = getattr(job.spec.objective, "target", None)
    return raced if raced is not None else asked


def _origin(job: Job) -> str:
    race = job.findings.race
    if getattr(job.spec.objective, "target", None) is not None:
        return "user"
    return race.target_origin if race else "none"


def _reached(job: Job, contender: Contender | None) -> int:
    """Count the runs of the answer that reached the target, also where it was not their goal."""
    target = _target(job)
    runs = [one.run for one in contender.done if one.run is not None] if contender else []
    return sum(target is not None and steps_to(job, run, target) is not None for run in runs)


def _time_model(job: Job, batch: int, steps: float | None) -> TimeModel | None:
    noise, timing = evidence.critical_batch_size(job), _timed(job.findings)
    if noise is None or steps is None:
        return None
    return TimeModel(
        steps_minimum=steps / (1.0 + noise.estimate / batch),
        critical_batch_size=noise.estimate,
        step_seconds=StepSeconds(fixed=timing.fixed_seconds, per_sample=timing.seconds_per_sample),
    )


def _peak_bytes(memory: MemoryCurve, chosen: Confirmation, micro_batch_size: int) -> int:
    """Peak bytes at the recommended micro-batch, as it was run; else at the next larger one."""
    if chosen.memory is not None:
        return chosen.memory.live_bytes
    return memory.next_peak_bytes(micro_batch_size)


def _device(job: Job) -> DeviceAnswer:
    scope = job.findings.inspect
    assert scope is not None  # noqa: S101  (stages run in order)
    device = scope.facts.device
    return DeviceAnswer(kind=device.kind, name=device.name, memory_bytes=device.memory_bytes)


def _spending(job: Job) -> Spending:
    entries = job.history.entries()
    return Spending(
        device_seconds=job.history.device_seconds,
        device_seconds_by_stage=job.history.seconds_by_stage(),
        search_trials=len(job.history.of("search")),
        training_runs=sum(
            isinstance(entry.request, TrainingRun) and entry.result is not None for entry in entries
        ),
        stacking=stacking.evidence(job),
    )


def _planned(found: Findings) -> Plan:
    assert found.plan is not None  # noqa: S101  (stages run in order)
    return found.plan


def _confirmed(found: Findings) -> Confirmation:
    assert found.confirm is not None  # noqa: S101  (stages run in order)
    return found.confirm


def _timed(found: Findings) -> Throughput:
    assert found.timing is not None  # noqa: S101  (stages run in order)
    return found.timing


def _remembered(found: Findings) -> MemoryCurve:
    assert found.memory is not None  # noqa: S101  (stages run in order)
    return found.memory
