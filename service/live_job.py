"""One job under way: its tuning, its attempts, and what is to be written down next.

No store and no executor here: events go in, a `Turn` comes out, and what is to be handed to
devices waits until that turn is committed.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.kept import kept, plain
from service.kinds import Spec, facts_of
from service.machine import FindAnswer, Machine, Recall, nobody
from service.problems import from_tuner
from service.store.database import now
from service.store.ledger import AttemptChange, Turn
from service.store.tables import AttemptState, JobKind, JobState
from tuner.errors import Problem, TunerError
from tuner.records import (
    Answered,
    AttemptLost,
    CapacityChanged,
    Event,
    Failed,
    Recalled,
    Request,
    Result,
    Start,
    Started,
    Stop,
    Tighten,
    Withdraw,
)
from workers.executor import AttemptFailed, AttemptId, Finished, Lost, Update

_log = logging.getLogger(__name__)


class LiveJob:
    """One job under way.

    Args:
        number: Of the job in the store.
        job_id: As people see it.
        spec: What was asked.
        kind: What the job is about.
        machine: In the state that the recorded sequence leads to.
        recall: Asked once, when the machine wants to know what past jobs found.
        find_answer: Asked once, when the machine wants to know whether one has answered this.
        elapsed_seconds: Since it started running.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        number: int,
        job_id: str,
        spec: Spec,
        machine: Machine,
        kind: str = JobKind.TUNING,
        recall: Recall = nobody,
        find_answer: FindAnswer = nobody,
        elapsed_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = number
        self.job_id = job_id
        self.spec = spec
        self._address = facts_of(kind).address(job_id)
        self.machine = machine
        self.capacity: CapacityChanged | None = None
        self.activated = False
        self.state: JobState | None = None
        self.waiting: dict[str, tuple[AttemptId, Request]] = {}
        self.running: dict[str, AttemptId] = {}
        self._attempts: dict[str, int] = {}
        self._stops: set[str] = set()
        self._inbox: list[tuple[Event, AttemptChange | None]] = []
        self._handed: list[AttemptChange] = []
        self._shown: dict[int, Mapping[str, Any]] = {}
        self._told: set[tuple[int, Tighten | Withdraw]] = set()
        self._due = True
        self._recall: Recall | None = recall
        self._find_answer: FindAnswer | None = find_answer
        self._named = False
        self._clock = clock
        self._deadline = clock() - elapsed_seconds + spec.budget.timeout_seconds

    # ------------------------------------------------------------------ what comes in

    def adopt(
        self, events: tuple[Event, ...], *, attempts: Mapping[str, int], alive: Mapping[str, int]
    ) -> None:
        """Remember what is already recorded and applied.

        Args:
            events: The whole recorded sequence.
            attempts: The highest attempt number of each request.
            alive: Attempts that still run, by request.
        """
        self.activated = True
        self._attempts.update(attempts)
        for request_id, number in alive.items():
            self.running[request_id] = self._attempt_id(request_id, number)
        for event in events:
            self._remember(event)

    def take(self, update: Update) -> None:
        """Note how an attempt ended; news of an attempt that is not running are dropped."""
        attempt = update.attempt
        if self.running.get(attempt.request_id) != attempt:
            return
        del self.running[attempt.request_id]
        match update:
            case Finished():
                result = Result(request_id=attempt.request_id, result=update.result)
                self._inbox.append((result, _change(attempt, AttemptState.FINISHED)))
            case AttemptFailed():
                failed = Failed(
                    request_id=attempt.request_id,
                    problem=update.problem,
                    device_seconds=update.device_seconds,
                )
                self._inbox.append((failed, _change(attempt, AttemptState.FINISHED)))
            case Lost():
                self.lose(attempt, update.cause, update.device_seconds)

    def lose(self, attempt: AttemptId, cause: str, device_seconds: float = 0.0) -> None:
        """Note that an attempt ended without a result."""
        lost = AttemptLost(
            request_id=attempt.request_id, cause=cause, device_seconds=device_seconds
        )
        self._inbox.append((lost, _change(attempt, AttemptState.LOST, cause)))

    def give(self, capacity: CapacityChanged) -> None:
        """Tell how many measurements may run, if that has changed."""
        if capacity != self.capacity:
            self.capacity = capacity
            self._inbox.append((capacity, None))

    def stop(self, reason: str) -> None:
        """Start nothing more; said once."""
        if reason not in self._stops:
            self._stops.add(reason)
            self._inbox.append((Stop(reason=reason), None))

    def handed(self, attempt: AttemptId) -> None:
        """Note that an attempt that waited was taken by a device."""
        del self.waiting[attempt.request_id]
        self.running[attempt.request_id] = attempt
        self._handed.append(_change(attempt, AttemptState.RUNNING))

    # ------------------------------------------------------------------ what comes out

    def advance(self) -> Turn | None:
        """Apply what came in, and decide what is next.

        Returns:
            What is to be committed before anything else is done; None if nothing happened.
            Afterwards `waiting` holds what is to be handed to devices, and `orders` what
            running attempts are to be told.
        """
        if self._clock() >= self._deadline:
            self.stop("timeout")
        events, changes = self._drain()
        if not events and not self._due:
            return None
        self._due = False
        self._ask(events)
        self._withdraw_waiting(events, changes)
        self._start(events, changes)
        handed, self._handed = self._handed, []
        entered = None if self.activated else JobState.RUNNING
        self.activated = True
        self.state = self._end()
        return self._turn(events, [*handed, *changes], entered)

    def orders(self) -> list[tuple[AttemptId, Tighten | Withdraw]]:
        """What running attempts are to be told now; each is said once."""
        told: list[tuple[AttemptId, Tighten | Withdraw]] = []
        for action in self._wishes():
            attempt = self.running.get(action.request_id)
            if attempt is None or (attempt.number, action) in self._told:
                continue
            self._told.add((attempt.number, action))
            told.append((attempt, action))
        return told

    def broken(self, problem: Problem) -> Turn:
        """End the job for a reason that is not the tuning's own."""
        self.state = JobState.FAILED
        changes = [
            _change(attempt, AttemptState.LOST, "withdrawn")
            for attempt in (*self.running.values(), *(one for one, _ in self.waiting.values()))
        ]
        return failed_turn(self.number, self._address, problem, changes)

    # ------------------------------------------------------------------ inside

    def _drain(self) -> tuple[list[Event], list[AttemptChange]]:
        inbox, self._inbox = self._inbox, []
        for event, _ in inbox:
            self.machine.apply(event)
        return [event for event, _ in inbox], [change for _, change in inbox if change]

    def _ask(self, events: list[Event]) -> None:
        """Ask past jobs as soon as the machine has a question; the reply is an event like others.

        It is applied in the turn in which the inspection is recorded, or, where a controller
        died without asking, in the first turn of the next one. Where the very same question
        was answered before, there is none left.
        """
        fingerprint = self.machine.repeats
        if fingerprint is not None and self._find_answer is not None:
            past, self._find_answer = self._find_answer(fingerprint), None
            if past is not None:
                answered = Answered(past=past)
                self.machine.apply(answered)
                events.append(answered)
        key = self.machine.question
        if key is None or self._recall is None:
            return
        known, self._recall = self._recall(key), None
        if known is not None:
            recalled = Recalled(knowledge=known)
            self.machine.apply(recalled)
            events.append(recalled)

    def _wishes(self) -> list[Tighten | Withdraw]:
        if self.machine.finished:
            return [Withdraw(request_id=request_id) for request_id in self.running]
        return [one for one in self.machine.actions() if isinstance(one, Tighten | Withdraw)]

    def _withdraw_waiting(self, events: list[Event], changes: list[AttemptChange]) -> None:
        actions = self.machine.actions()
        unwanted = {one.request_id for one in actions if isinstance(one, Withdraw)}
        for request_id, (attempt, _) in tuple(self.waiting.items()):
            if self.machine.finished or request_id in unwanted:
                del self.waiting[request_id]
                lost = AttemptLost(request_id=request_id, cause="withdrawn")
                self.machine.apply(lost)
                events.append(lost)
                changes.append(_change(attempt, AttemptState.LOST, "withdrawn"))

    def _start(self, events: list[Event], changes: list[AttemptChange]) -> None:
        # Each start is one event; what is offered next may depend on it, so ask again.
        while not self.machine.finished:
            offered = [one for one in self.machine.actions() if isinstance(one, Start)]
            if not offered:
                return
            request = offered[0].request
            started = Started(request=request)
            self.machine.apply(started)
            events.append(started)
            number = self._attempts[request.id] = self._attempts.get(request.id, 0) + 1
            attempt = self._attempt_id(request.id, number)
            self.waiting[request.id] = (attempt, request)
            changes.append(_change(attempt, AttemptState.STARTING))

    def _end(self) -> JobState | None:
        if self.running or self.waiting:
            return None
        if self.machine.finished:
            if self.machine.answer is not None:
                return JobState.SUCCEEDED
            return JobState.FAILED if self.machine.failure is not None else JobState.CANCELLED
        if self._stops or (self.capacity is not None and self.capacity.slots > 0):
            raise TunerError("The tuning has nothing left to do and no answer.")
        return None

    def _turn(
        self, events: list[Event], changes: list[AttemptChange], entered: JobState | None
    ) -> Turn:
        progress = plain(dataclasses.asdict(self.machine.progress))
        answer = self.machine.answer if self.state is JobState.SUCCEEDED else None
        failure = self.machine.failure if self.state is JobState.FAILED else None
        written, known = kept(answer) if answer else None, None
        if answer is not None:
            moment = now().isoformat()
            known = self.machine.learned(job_id=self.job_id, answered_at=moment)
        trials = self._changed_trials()
        return Turn(
            job_number=self.number,
            events=events,
            attempts=changes,
            state=self.state or entered,
            stage=str(progress["stage"]),
            progress=progress,
            trials=trials,
            answer=written.answer if written else None,
            findings=written.findings if written else None,
            problem=_shown(self._address, failure) if failure else None,
            knowledge=known,
            fingerprint=self._new_fingerprint(),
            surface=self._new_surface(trials),
        )

    def _new_fingerprint(self) -> str | None:
        """The fingerprint in the first turn that knows it: one that is written need not be."""
        found = None if self._named else self.machine.fingerprint
        self._named = self._named or found is not None
        return found

    def _new_surface(self, trials: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """What is believed after a trial has ended; machines of other kinds believe nothing.

        It is a picture, for which no job may fail.
        """
        if all(view.get("state") == "running" for view in trials.values()):
            return None
        try:
            surface = getattr(self.machine, "surface", None)
        except Exception:  # noqa: BLE001 - whatever it is, the job goes on without the picture
            _log.exception("%s: what is believed of untried batches cannot be told", self.job_id)
            return None
        return None if surface is None else plain(surface.plain())

    def _changed_trials(self) -> dict[int, Mapping[str, Any]]:
        views = {view.number: plain(dataclasses.asdict(view)) for view in self.machine.trials()}
        changed = {number: v for number, v in views.items() if self._shown.get(number) != v}
        self._shown.update(changed)
        return changed

    def _remember(self, event: Event) -> None:
        if isinstance(event, CapacityChanged):
            self.capacity = event
        elif isinstance(event, Stop):
            self._stops.add(event.reason)

    def _attempt_id(self, request_id: str, number: int) -> AttemptId:
        return AttemptId(job_id=self.job_id, request_id=request_id, number=number)


def failed_turn(
    number: int, address: str, problem: Problem, attempts: Sequence[AttemptChange] = ()
) -> Turn:
    """End a job with a problem.

    Args:
        number: Of the job in the store.
        address: Where people find it.
        problem: Why.
        attempts: Ends of attempts that go with it.

    Returns:
        What is to be committed.
    """
    return Turn(
        job_number=number,
        attempts=attempts,
        state=JobState.FAILED,
        problem=_shown(address, problem),
    )


def _shown(address: str, problem: Problem) -> Mapping[str, Any]:
    shown = from_tuner(problem, instance=address)
    values: Mapping[str, Any] = plain(shown.model_dump(mode="json"))
    return values


def _change(attempt: AttemptId, state: AttemptState, cause: str | None = None) -> AttemptChange:
    return AttemptChange(
        request_id=attempt.request_id, number=attempt.number, state=state, cause=cause
    )
