"""Knowledge: what a finished job leaves to later ones, and the key under which it is found.

The key is a digest of all that learning depends on: model, data, code, training, objective.
The device is left out, which is the point; so are budget, search space and seed, which decide
what was looked at, not what is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tuner.deciding.job import Job
from tuner.deciding.plan import Goal, Plan
from tuner.deciding.race import RaceOutcome
from tuner.deciding.recall import in_steps
from tuner.deciding.recommend import ALGORITHM_VERSION
from tuner.deciding.score import Observation
from tuner.records import Knowledge, KnownCaution, KnownTrial
from tuner.spec import LossAtBudget, digest

MOST_TRIALS: Final = 200
"""Trials that are handed on at most, the newest ones: each verified job adds its two."""


LEFT_OUT: Final = frozenset({"infeasible", "paced"})
"""What did not fit one device may fit another. What a pace was worth is bounded, not measured:
where a search would correct what it makes of batches that never ran, here nothing would."""


def key_of(job: Job) -> str | None:
    """Digest what a later job must share for this one's knowledge to concern it.

    Args:
        job: A job whose data and model were inspected.

    Returns:
        `sha256:` and the digest; None where nothing can be handed on: before the inspection,
        for generated data, and for a training budget in seconds, which holds other steps on
        another device.
    """
    scope, objective = job.findings.inspect, job.spec.objective
    if scope is None or scope.facts.synthetic:
        return None
    if isinstance(objective, LossAtBudget) and objective.budget_samples is None:
        return None
    return digest(
        {
            "model": job.spec.model.model_dump(mode="json"),
            "dataset": job.spec.dataset.model_dump(mode="json"),
            "training": job.spec.training.model_dump(mode="json"),
            "objective": objective.model_dump(mode="json", exclude={"sharpness_tolerance"}),
            "data": scope.facts.data_digest,
            "code": scope.facts.code_digest,
            "algorithm": ALGORITHM_VERSION,
        }
    )


def learned(job: Job, *, job_id: str, answered_at: str) -> Knowledge | None:
    """Say what a job has found out about learning.

    Args:
        job: The job.
        job_id: What later jobs call it.
        answered_at: When it was answered, ISO 8601.

    Returns:
        Its knowledge; None where it has none to hand on: no answer, an answer of less than
        full evidence, or one that was never confirmed on unseen seeds.
    """
    found, key = job.findings, key_of(job)
    answer, race, plan = found.recommend, found.race, found.plan
    if key is None or answer is None or answer.evidence != "full":
        return None
    if found.confirm is None or not found.confirm.confirmed or race is None or plan is None:
        return None
    if race.learning_rate is None or race.reference_steps is None or race.noise is None:
        return None
    return Knowledge(
        key=key,
        job_id=job_id,
        answered_at=answered_at,
        device_kind=job.device_kind,
        device_name=answer.device.name,
        global_batch_size=race.batch,
        learning_rate=race.learning_rate,
        steps=race.reference_steps,
        target=race.target,
        target_origin=race.target_origin,
        critical_batch_size=race.noise.estimate,
        critical_batch_size_low=race.noise.low,
        critical_batch_size_high=race.noise.high,
        noise_windows=race.noise.windows,
        trials=_trials(job, plan)[-MOST_TRIALS:],
        cautions=_cautions(job, race),
    )


def _cautions(job: Job, race: RaceOutcome) -> tuple[KnownCaution, ...]:
    recalled = _recalled(job)
    if recalled is not None:
        return recalled.cautions
    return tuple(KnownCaution(code=one.code, detail=one.detail) for one in race.warnings)


def _trials(job: Job, plan: Plan) -> tuple[KnownTrial, ...]:
    """All trials of the search, or those that were taken over, then the confirming runs."""
    found, recalled = job.findings, _recalled(job)
    assert found.search is not None and found.confirm is not None  # noqa: S101, PT018  (answered)
    assert plan.goal is not None  # noqa: S101  (full evidence has a goal)
    runs = [one for contender in found.confirm.contenders for one in contender.done]
    before = recalled.trials if recalled is not None else ()
    searched = found.search.observations if recalled is None else ()
    return (
        *before,
        *_known(job, plan.goal, searched, unseen=False),
        *_known(job, plan.goal, runs, unseen=True),
    )


def _known(
    job: Job, goal: Goal, seen: Iterable[Observation], *, unseen: bool
) -> Iterator[KnownTrial]:
    for one in seen:
        if one.run is not None and one.kind not in LEFT_OUT:
            yield KnownTrial(
                global_batch_size=one.global_batch_size,
                micro_batch_size=one.run.request.plan.micro_batch_size,
                learning_rate=one.learning_rate,
                evaluate_every_steps=one.run.request.evaluate_every_steps,
                unseen=unseen,
                kind=one.kind,
                score=in_steps(job, goal, one),
            )


def _recalled(job: Job) -> Knowledge | None:
    """What the job itself had taken over, if that was verified."""
    verdict = job.findings.verify
    return job.knowledge if verdict is not None and verdict.accepted else None
