"""What every machine of stages shares: events go in, actions come out. No I/O, threads, clock.

    machine.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    for action in machine.actions(): ...       # Start, Tighten, Withdraw
    machine.apply(Started(request=...))        # committed, then handed to a device
    machine.apply(Result(request_id=..., result=...))

Whoever drives one keeps the events in the order in which they were applied. Applied again, in
that order, to a fresh machine, they lead to exactly the same state: that is how a job
survives the death of any process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tuner.deciding.errand import Errand, Wants
from tuner.deciding.trials import TrialView, best_trial
from tuner.errors import Problem, TunerError
from tuner.records import (
    Action,
    AttemptLost,
    CapacityChanged,
    Event,
    Failed,
    Request,
    Result,
    Start,
    Started,
    Stop,
    Tighten,
    Withdraw,
)

JobT = TypeVar("JobT", bound=Errand)
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Generic[JobT]):
    """One stage: what it has learned, and what it would have measured next."""

    name: str
    finding: Callable[[JobT], Any]
    wants: Callable[[JobT], Wants]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a machine is.

    Args:
        stage: The stage that is being measured.
        fraction: Of the predicted device seconds, at most 0.99 until there is an answer.
        best: The best trial so far, or None.
        device_seconds: Spent so far.
        predicted_device_seconds: Of the whole job; None before that can be told.
    """

    stage: str
    fraction: float
    best: Mapping[str, Any] | None
    device_seconds: float
    predicted_device_seconds: float | None


class Staged(ABC, Generic[JobT, AnswerT]):
    """A job that goes through stages, each of which decides by what was measured so far.

    Args:
        job: The job, fresh.
        stages: In their order; the last one gives the answer.
    """

    def __init__(self, job: JobT, stages: Sequence[Stage[JobT]]) -> None:
        self._job = job
        self._stages = stages
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
        """Name of the stage that is being measured; the last one at the end."""
        return self._stage().name

    @property
    @abstractmethod
    def answer(self) -> AnswerT | None:
        """The answer, once it is decided."""

    @property
    def progress(self) -> Progress:
        """Where the job is."""
        spent = self._job.history.device_seconds
        predicted = self._predicted_seconds()
        total = predicted or self._job.budget_seconds
        done = self.answer is not None
        return Progress(
            stage=self.stage,
            fraction=1.0 if done else min(0.99, spent / max(total, 1e-9)),
            best=best_trial(self.trials()),
            device_seconds=spent,
            predicted_device_seconds=predicted,
        )

    @abstractmethod
    def trials(self) -> tuple[TrialView, ...]:
        """Every training run, as people want to see it."""

    @abstractmethod
    def _predicted_seconds(self) -> float | None:
        """Device seconds of the whole job; None before they can be predicted."""

    @property
    @abstractmethod
    def question(self) -> str | None:
        """Key of what past jobs may know of this one; None where nobody is to be asked."""

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
    def job(self) -> JobT:
        """The job as its stages see it; to be read, not changed."""
        return self._job

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
            case _:
                self._hear(event)

    def _hear(self, event: Event) -> None:
        """Take in what past jobs say; a machine that asked nothing needs nothing of it."""

    def _adopt(self, capacity: CapacityChanged) -> None:
        """Take the first device kind for good: one step time never mixes kinds."""
        known = self._job.capacity
        if known is None or known.device_kind == capacity.device_kind:
            self._job.capacity = capacity

    def _advance(self) -> None:
        """Let each stage decide in turn, as far as the history allows."""
        if self._job.stopped == "cancelled" or self.answer is not None:
            return
        try:
            for stage in self._stages:
                if self._found(stage.name) is None:
                    found = self._settled(stage.name) or stage.finding(self._job)
                    if found is None:
                        return
                    setattr(self._job.findings, stage.name, found)
        except TunerError as error:
            self._failure = error.problem

    def _settled(self, stage: str) -> Any:
        """Return what is known of a stage without asking it, or None."""
        del stage

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
        return self._found(request.id.partition("-")[0]) is None

    def _found(self, stage: str) -> Any:
        return getattr(self._job.findings, stage)

    def _stage(self) -> Stage[JobT]:
        if self.answer is not None:
            return self._stages[-1]
        undecided = (stage for stage in self._stages if self._found(stage.name) is None)
        return next(undecided, self._stages[-1])
