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
    surface,
    timing,
    verify,
)
from tuner.deciding.history import History
from tuner.deciding.job import Job
from tuner.deciding.trials import TrialView, trial_views
from tuner.recommendation import Recommendation
from tuner.records import Answered, Event, Knowledge, PastAnswer, Recalled
from tuner.spec import TuningSpec, digest
from tuner.staged import Progress, Stage, Staged
from tuner.surface import Surface

__all__ = ["STAGES", "Progress", "Tuning"]


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


class Tuning(Staged[Job, Recommendation]):
    """One tuning job, from its spec to its answer.

    Args:
        spec: What was asked.
        spec_digest: Digest of the user's own JSON; that of the resolved spec by default.
    """

    def __init__(self, spec: TuningSpec, *, spec_digest: str | None = None) -> None:
        job = Job(
            spec=spec,
            spec_digest=spec_digest or digest(spec.model_dump(mode="json")),
            history=History(),
        )
        super().__init__(job, STAGES)

    @property
    def answer(self) -> Recommendation | None:
        """The recommendation, once it is decided."""
        return self._job.findings.recommend

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

    @property
    def surface(self) -> Surface | None:
        """What the trials so far lead one to expect of batches and rates; None before a plan."""
        return surface.surface_of(self._job)

    def trials(self) -> tuple[TrialView, ...]:
        """Every training run, as people want to see it."""
        return trial_views(self._job)

    def _predicted_seconds(self) -> float | None:
        planned = self._job.findings.plan
        return planned.predicted_seconds if planned else None

    def _hear(self, event: Event) -> None:
        match event:
            case Recalled():
                self._recall(event.knowledge)
            case Answered():
                self._take_over(event.past)

    def _recall(self, known: Knowledge) -> None:
        """Take what answers the question; what nobody asked for changes nothing."""
        if known.key == self.question:
            self._job.knowledge = known

    def _take_over(self, past: PastAnswer) -> None:
        """Take what answers this very request; what nobody asked for changes nothing."""
        if past.fingerprint == self.repeats:
            self._job.findings.recommend = answered.served(self._job, past)

    def _settled(self, stage: str) -> Any:
        """Return what a verified recollection makes of a stage, or None."""
        verdict = self._job.findings.verify
        return verdict.settled.get(stage) if verdict is not None else None
