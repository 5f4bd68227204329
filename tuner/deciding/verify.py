"""Verify: two runs on unseen seeds decide whether a past job's findings hold on this device.

If they do, race, plan, search and confirmation are settled by what was recalled and by these
runs. If they do not, nothing of it is used, and the job goes on as if nobody had known anything.
Nothing is served that was not trained here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tuner.deciding.comparison import Contender
from tuner.deciding.confirm import choose
from tuner.deciding.history import Entry, Run
from tuner.deciding.job import Job, Wants
from tuner.deciding.memory import memory_trial
from tuner.deciding.plan import Plan
from tuner.deciding.recall import Recollection, recollect
from tuner.deciding.runs import throughput_of, training_run
from tuner.deciding.score import Observation, metric_of_score, observe
from tuner.deciding.search import Ranking
from tuner.recommendation import Caution, Interval, Reused
from tuner.records import (
    Knowledge,
    Measure,
    MemoryMeasurement,
    Request,
    TrainingResult,
    TrainingRun,
)

SEEDS: Final = 2
"""Runs that verify."""

TIME_TOLERANCE: Final = math.log(1.3)
"""The geometric mean of their times may exceed the expected one by this factor. Seeds scatter
by 8 to 24 %, so that two ordinary runs are refused in 1 to 6 cases of 100 at the worst."""

METRIC_TOLERANCE: Final = math.log(1.1)
"""The same for the loss, or the error rate, at the end of a training budget."""

LIMIT: Final = 2.0
"""A verifying run is cut at this multiple of its expected time."""

MEMORY_REQUEST: Final = "verify-memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether what was recalled holds here.

    Args:
        settled: Findings of later stages, by stage; empty where nothing was recalled, or
            where it did not hold.
        reused: What the answer says of it; None with `settled` empty.
        warnings: Sentences for the user.
    """

    settled: Mapping[str, Any] = field(default_factory=dict)
    reused: Reused | None = None
    warnings: tuple[Caution, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the answer rests on what was recalled."""
        return bool(self.settled)


def finding(job: Job) -> Verdict | None:
    """Hold the verifying runs against what was expected of them, once they have ended."""
    knowledge = job.knowledge
    if knowledge is None:
        return Verdict()
    recollection = recollect(job, knowledge)
    if recollection is None:
        return Verdict(warnings=(_unused(knowledge, _ELSEWHERE),))
    unaffordable = _unaffordable(job, recollection)
    if unaffordable is not None:
        return Verdict(warnings=(_unused(knowledge, unaffordable),))
    if not job.over and (_missing(job, recollection) or job.history.open("verify")):
        return None
    return _judged(job, knowledge, recollection)


def wants(job: Job) -> Wants:
    """Ask for the verifying runs, then for the memory of their micro-batch if it never ran."""
    recollection = recollect(job, job.knowledge) if job.knowledge is not None else None
    if recollection is None:
        return Wants()
    requests: tuple[Request, ...] = _missing(job, recollection)
    if not requests and not job.history.open("verify") and _memory_wanted(job, recollection):
        size = _micro_batch_size(job, recollection)
        requests = (memory_trial(job, MEMORY_REQUEST, size),)
    return Wants(requests=tuple(one for one in requests if one.id not in job.history))


def _judged(job: Job, knowledge: Knowledge, recollection: Recollection) -> Verdict | None:
    """Judge the runs that have ended; None while the memory of their micro-batch is due."""
    contender = _contender(job, recollection)
    reason = _refutation(recollection, contender)
    if reason is not None:
        return Verdict(warnings=(_rejected(knowledge, recollection, reason),))
    if not contender.done:
        return Verdict(warnings=(_unused(knowledge, "the budget ended before that"),))
    if not job.over and _memory_wanted(job, recollection):
        return None
    return _accepted(job, knowledge, recollection, contender)


def _missing(job: Job, recollection: Recollection) -> tuple[TrainingRun, ...]:
    """Runs that have not been started; none once one has shown that nothing holds."""
    if _refutation(recollection, _contender(job, recollection)) is not None:
        return ()
    return tuple(
        _run(job, recollection, seed)
        for seed in range(SEEDS)
        if f"verify-{seed}" not in job.history
    )


def _run(job: Job, recollection: Recollection, seed: int) -> TrainingRun:
    assert job.knowledge is not None  # noqa: S101  (something was recalled)
    goal, best = recollection.goal, recollection.best
    return training_run(
        job,
        f"verify-{seed}",
        global_batch_size=best.global_batch_size,
        learning_rate=best.learning_rate,
        # The past job trained on the seeds of its own roles; none of them may be seen again.
        seed=job.training_seed(f"verify:{job.knowledge.job_id}", seed),
        max_steps=math.ceil(_steps(job, recollection) * (LIMIT if goal.kind == "time" else 1.0)),
        cadence_seconds=goal.cadence_seconds,
        target=goal.target,
        measure=Measure(sharpness=True),
    )


def _steps(job: Job, recollection: Recollection) -> float:
    """Steps that a verifying run is expected to take."""
    goal, best = recollection.goal, recollection.best
    step_seconds = throughput_of(job).step_seconds[best.global_batch_size]
    if goal.kind == "metric":
        return float(goal.steps(best.global_batch_size, step_seconds))
    return math.exp(best.score) / step_seconds


def _contender(job: Job, recollection: Recollection) -> Contender:
    best = recollection.best
    return Contender(
        global_batch_size=best.global_batch_size,
        learning_rate=best.learning_rate,
        runs=tuple(_observed(job, recollection, seed) for seed in range(SEEDS)),
        timed=recollection.goal.kind == "time",
    )


def _observed(job: Job, recollection: Recollection, seed: int) -> Observation | None:
    entry: Entry | None = job.history.get(f"verify-{seed}")
    if entry is None or not entry.ended:
        return None
    request = entry.request
    assert isinstance(request, TrainingRun)  # noqa: S101  (its id says so)
    if isinstance(entry.result, TrainingResult):
        return observe(job, recollection.goal, Run(request=request, result=entry.result))
    return Observation(
        global_batch_size=request.plan.global_batch_size,
        learning_rate=request.learning_rate,
        kind="infeasible",
        score=None,
        run=None,
    )


def _refutation(recollection: Recollection, contender: Contender) -> str | None:
    """Say why the runs so far refute what was recalled; None if they do not."""
    done = contender.done
    for one in done:
        if one.kind != "complete":
            return _MISSED[one.kind]
    if len(done) < SEEDS:
        return None
    timed = recollection.goal.kind == "time"
    excess = contender.expected - recollection.best.score
    if excess <= (TIME_TOLERANCE if timed else METRIC_TOLERANCE):
        return None
    what = "took" if timed else "ended at"
    return f"they {what} {math.exp(excess):.2f} times what was expected"


def _unaffordable(job: Job, recollection: Recollection) -> str | None:
    """Say why the budget does not hold the runs, before the first is made; None if it does."""
    if "verify-0" in job.history:
        return None
    batch, goal = recollection.best.global_batch_size, recollection.goal
    one = throughput_of(job).run_seconds(batch, _steps(job, recollection), goal.cadence_seconds)
    if job.over or SEEDS * one > job.remaining_seconds:
        return f"the budget does not hold {SEEDS} runs of {one:.3g} s"
    return None


def _accepted(
    job: Job, knowledge: Knowledge, recollection: Recollection, contender: Contender
) -> Verdict:
    plan = Plan(
        evidence="full",
        goal=recollection.goal,
        trials=0,
        confirm_seconds=0.0,
        predicted_seconds=job.history.device_seconds,
    )
    ranking = Ranking(
        finalists=(recollection.best,), observations=recollection.observations, trials=0
    )
    found = replace(job.findings, race=recollection.race, plan=plan, search=ranking)
    entry = job.history.get(MEMORY_REQUEST)
    memory = entry.result if entry is not None else None
    confirmation = replace(
        choose(replace(job, findings=found), [contender]),
        memory=memory if isinstance(memory, MemoryMeasurement) else None,
    )
    return Verdict(
        settled={
            "race": recollection.race,
            "plan": plan,
            "search": ranking,
            "confirm": confirmation,
        },
        reused=_reused(job, knowledge, recollection, contender),
    )


def _reused(
    job: Job, knowledge: Knowledge, recollection: Recollection, contender: Contender
) -> Reused:
    best, timed = recollection.best, recollection.goal.kind == "time"
    noise = recollection.race.noise
    critical = None
    if noise is not None and noise.estimate is not None:
        critical = Interval(estimate=noise.estimate, low=noise.low, high=noise.high)
    metric = job.spec.objective.metric
    return Reused(
        job_id=knowledge.job_id,
        answered_at=knowledge.answered_at,
        device_kind=knowledge.device_kind,
        device_name=knowledge.device_name,
        global_batch_size=knowledge.global_batch_size,
        learning_rate=knowledge.learning_rate,
        steps=knowledge.steps,
        target=knowledge.target,
        critical_batch_size=critical,
        trials=len(recollection.observations),
        expected_seconds=math.exp(best.score) if timed else None,
        expected_metric=None if timed else metric_of_score(best.score, metric),
        measured_to_expected=math.exp(contender.expected - best.score),
    )


def _rejected(knowledge: Knowledge, recollection: Recollection, reason: str) -> Caution:
    best = recollection.best
    return Caution(
        code="reuse_rejected",
        detail=f"What {knowledge.job_id} had found on {knowledge.device_name} does not hold here: "
        f"of the verifying runs at batch {best.global_batch_size} and rate "
        f"{best.learning_rate:.3g}, {reason}. Nothing of it was used; all was measured anew.",
    )


def _unused(knowledge: Knowledge, reason: str) -> Caution:
    return Caution(
        code="reuse_not_possible",
        detail=f"What {knowledge.job_id} had found on {knowledge.device_name} could not be "
        f"verified here: {reason}. Nothing of it was used.",
    )


def _memory_wanted(job: Job, recollection: Recollection) -> bool:
    """Whether the micro-batch was never run under the memory probe."""
    curve, entry = job.findings.memory, job.history.get(MEMORY_REQUEST)
    if curve is None or (entry is not None and entry.ended):
        return False
    return curve.peak_bytes(_micro_batch_size(job, recollection)) is None


def _micro_batch_size(job: Job, recollection: Recollection) -> int:
    return throughput_of(job).plans[recollection.best.global_batch_size].micro_batch_size


_ELSEWHERE: Final = "none of its configurations lies in what this request asks for"

_MISSED: Final = {
    "censored": f"one had not got there after {LIMIT:g} times the expected time",
    "diverged": "one diverged",
    "infeasible": "one could not be run",
}
