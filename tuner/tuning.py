"""The tuning machine: events go in, actions come out. No I/O, no threads, no clock.

    tuning = Tuning(spec)
    tuning.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    for action in tuning.actions(): ...        # Start, Tighten, Withdraw
    tuning.apply(Started(request=...))         # committed, then handed to a device
    tuning.apply(Result(request_id=..., result=...))
    tuning.answer                              # None until it is decided

Whoever drives it keeps the events in the order in which they were applied. Applied again, in
that order, to a fresh `Tuning`, they lead to exactly the same state: that is how a job
survives the death of any process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tuner.deciding import (
    answered,
    confirm,
    inspection,
    knowledge,
    memory,
    plan,
    race,
    recommend,
    search,
    timing,
    verify,
)
from tuner.deciding.history import History
from tuner.deciding.job import Job, Wants
from tuner.deciding.trials import TrialView, best_trial, trial_views
from tuner.errors import Problem, TunerError
from tuner.recommendation import Recommendation
from tuner.records import (
    Action,
    Answered,
    AttemptLost,
    CapacityChanged,
    Event,
    Failed,
    Knowledge,
    PastAnswer,
    Recalled,
    Request,
    Result,
    Start,
    Started,
    Stop,
    Tighten,
    Withdraw,
)
from tuner.spec import TuningSpec, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: what it has learned, and what it would have measured next."""

    name: str
    finding: Callable[[Job], Any]
    wants: Callable[[Job], Wants]


STAGES: Final = (
    Stage(name="inspect", finding=inspection.finding, wants=inspection.wants),
    Stage(name="memory", finding=memory.finding, wants=memory.wants),
    Stage(name="timing", finding=timing.finding, wants=timing.wants),
    Stage(name="verify", finding=verify.finding, wants=verify.wants),
    Stage(name="race", finding=race.finding, wants=race.wants),
    Stage(name="plan", finding=plan.finding, wants=plan.wants),
    Stage(name="search", finding=search.finding, wants=search.wants),
    Stage(name="confirm", finding=confirm.finding, wants=confirm.wants),
    Stage(name="recommend", finding=recommend.finding, wants=recommend.wants),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a tuning is.

    Args:
        stage: The stage that is being measured.
        fraction: Of the predicted device seconds, at most 0.99 until there is an answer.
        best: The best trial so far, or None.
        device_seconds: Spent so far.
        predicted_device_seconds: Of the whole job; None before there is a plan.
    """

    stage: str
    fraction: float
    best: Mapping[str, Any] | None
    device_seconds: float
    predicted_device_seconds: float | None


class Tuning:
    """One tuning job, from its spec to its answer.

    Args:
        spec: What was asked.
        spec_digest: Digest of the user's own JSON; that of the resolved spec by default.
    """

    def __init__(self, spec: TuningSpec, *, spec_digest: str | None = None) -> None:
        self._job = Job(
            spec=spec,
            spec_digest=spec_digest or digest(spec.model_dump(mode="json")),
            history=History(),
        )
        self._failure: Problem | None = None
        self._actions: tuple[Action, ...] | None = None

    def apply(self, event: Event) -> None:
        """Take in what happened, and decide whatever is now decided.

        Late, repeated and unneeded results are welcome; they change nothing.

        Args:
            event: What happened.

        Raises:
            UnknownRequest: The event names a request that was never started.
        """
        self._note(event)
        self._actions = None
        if self._failure is None and self._job.capacity is not None:
            self._advance()

    def actions(self) -> tuple[Action, ...]:
        """Return what is to be done now; the same until the next event.

        A `Start` is only a wish until it comes back as `Started`.
        """
        if self._actions is None:
            self._actions = self._decide_actions()
        return self._actions

    @property
    def stage(self) -> str:
        """Name of the stage that is being measured; `recommend` at the end."""
        return self._stage().name

    @property
    def progress(self) -> Progress:
        """Where the tuning is."""
        spent = self._job.history.device_seconds
        planned = self._job.findings.plan
        predicted = planned.predicted_seconds if planned else None
        total = predicted or self._job.budget_seconds
        done = self.answer is not None
        return Progress(
            stage=self.stage,
            fraction=1.0 if done else min(0.99, spent / max(total, 1e-9)),
            best=best_trial(self.trials()),
            device_seconds=spent,
            predicted_device_seconds=predicted,
        )

    @property
    def answer(self) -> Recommendation | None:
        """The recommendation, once it is decided."""
        return self._job.findings.recommend

    @property
    def failure(self) -> Problem | None:
        """Why there will be no answer, or None."""
        return self._failure

    @property
    def finished(self) -> bool:
        """Whether there is an answer, a failure, or a cancellation."""
        cancelled = self._job.stopped == "cancelled"
        return self.answer is not None or self._failure is not None or cancelled

    @property
    def job(self) -> Job:
        """The job as its stages see it; to be read, not changed."""
        return self._job

    @property
    def fingerprint(self) -> str | None:
        """Digest of all that the answer depends on; None before the inspection."""
        return recommend.fingerprint(self._job) if self._job.findings.inspect else None

    @property
    def repeats(self) -> str | None:
        """Fingerprint of what a past job may have answered; None where nobody is to be asked.

        There is one between the inspection and whatever is measured next. The reply is an
        `Answered` event, and ends the tuning.
        """
        begun = self._job.findings.memory is not None or len(self._job.history.entries()) > 1
        return None if begun or self.finished else self.fingerprint

    @property
    def question(self) -> str | None:
        """Key of what past jobs may know of this workload; None where nobody is to be asked.

        There is one between the inspection and the last timing, unless the request turned
        reuse off or something was recalled already. The reply is a `Recalled` event.
        """
        found = self._job.findings
        asks = self._job.spec.search.reuse == "verified" and self._job.knowledge is None
        if not asks or found.verify is not None or self.finished:
            return None
        return knowledge.key_of(self._job)

    def learned(self, *, job_id: str, answered_at: str) -> Knowledge | None:
        """Say what this tuning has found out for later ones; None where that is nothing.

        Args:
            job_id: What later tunings are to call it.
            answered_at: When it was answered, ISO 8601.
        """
        return knowledge.learned(self._job, job_id=job_id, answered_at=answered_at)

    def trials(self) -> tuple[TrialView, ...]:
        """Every training run, as people want to see it."""
        return trial_views(self._job)

    def _note(self, event: Event) -> None:
        history = self._job.history
        match event:
            case Started():
                history.started(event)
            case Result() | Failed():
                history.ended(event)
            case AttemptLost():
                history.lost(event)
            case CapacityChanged():
                self._adopt(event)
            case Stop():
                self._job.stopped = self._job.stopped or event.reason
            case Recalled():
                self._recall(event.knowledge)
            case Answered():
                self._take_over(event.past)

    def _adopt(self, capacity: CapacityChanged) -> None:
        """Take the first device kind for good: one step time never mixes kinds."""
        known = self._job.capacity
        if known is None or known.device_kind == capacity.device_kind:
            self._job.capacity = capacity

    def _recall(self, known: Knowledge) -> None:
        """Take what answers the question; what nobody asked for changes nothing."""
        if known.key == self.question:
            self._job.knowledge = known

    def _take_over(self, past: PastAnswer) -> None:
        """Take what answers this very request; what nobody asked for changes nothing."""
        if past.fingerprint == self.repeats:
            self._job.findings.recommend = answered.served(self._job, past)

    def _advance(self) -> None:
        """Let each stage decide in turn, as far as the history allows."""
        if self._job.stopped == "cancelled" or self.answer is not None:
            return
        try:
            for stage in STAGES:
                if getattr(self._job.findings, stage.name) is None:
                    found = self._settled(stage.name) or stage.finding(self._job)
                    if found is None:
                        return
                    setattr(self._job.findings, stage.name, found)
        except TunerError as error:
            self._failure = error.problem

    def _settled(self, stage: str) -> Any:
        """Return what a verified recollection makes of a stage, or None."""
        verdict = self._job.findings.verify
        return verdict.settled.get(stage) if verdict is not None else None

    def _decide_actions(self) -> tuple[Action, ...]:
        handed = self._job.history.handed()
        running = [entry for entry in handed if entry.running]
        if self.finished or self._job.over or self._job.capacity is None:
            return tuple(Withdraw(request_id=entry.request.id) for entry in running)
        wanted = self._stage().wants(self._job)
        again = [e.request for e in handed if e.waiting and self._needed(e.request)]
        free = max(0, self._job.slots - len(running))
        requests: list[Request] = [*again, *wanted.requests][:free]
        alive = {entry.request.id for entry in running}
        cuts: list[Tighten] = [cut for cut in wanted.tighten if cut.request_id in alive]
        return (*(Start(request=request) for request in requests), *cuts)

    def _needed(self, request: Request) -> bool:
        """Whether the stage of a lost request is still undecided."""
        stage = request.id.partition("-")[0]
        return getattr(self._job.findings, stage) is None

    def _stage(self) -> Stage:
        if self.answer is not None:
            return STAGES[-1]
        for stage in STAGES:
            if getattr(self._job.findings, stage.name) is None:
                return stage
        return STAGES[-1]
