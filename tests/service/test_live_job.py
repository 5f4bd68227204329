"""One job under way, in front of a machine that says what a test wants."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from service.kept import plain
from service.live_job import LiveJob
from service.store.tables import AttemptState, JobState
from tests.service.fake_executor import SPEC
from tests.tuner.world import World
from tuner.errors import Problem, TunerError
from tuner.recommendation import Recommendation
from tuner.records import (
    Action,
    CapacityChanged,
    Event,
    Inspect,
    Start,
    Started,
    Stop,
    Tighten,
    Withdraw,
    Workload,
)
from tuner.spec import TuningSpec
from tuner.tuning import Progress
from workers.executor import AttemptId, Finished

CAPACITY = CapacityChanged(accelerator="cpu", device_kind="cpu", slots=2)
WORKLOAD = Workload(
    model={}, dataset={}, training={}, metric="accuracy", accelerator="cpu", data_seed=0
)
PROGRESS = Progress(
    stage="race",
    fraction=float("nan"),
    best=None,
    device_seconds=0.0,
    predicted_device_seconds=None,
)


@dataclass
class Scripted:
    """A machine that offers what it was given and remembers what it was told."""

    offers: list[Action] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)
    answer: Recommendation | None = None
    failure: Problem | None = None
    finished: bool = False
    progress: Progress = PROGRESS

    def apply(self, event: Event) -> None:
        """Remember; a start that was taken is not offered again."""
        self.told.append(event)
        if isinstance(event, Started):
            self.offers = [one for one in self.offers if one != Start(request=event.request)]

    def actions(self) -> tuple[Action, ...]:
        """What was given."""
        return tuple(self.offers)

    def trials(self) -> tuple[object, ...]:
        """None."""
        return ()

    def learned(self, *, job_id: str, answered_at: str) -> None:
        """Nothing."""

    @property
    def fingerprint(self) -> None:
        """None."""

    @property
    def repeats(self) -> None:
        """Nothing."""

    @property
    def question(self) -> None:
        """Nothing."""


def start(request_id: str) -> Start:
    """An offer."""
    return Start(request=Inspect(id=request_id, workload=WORKLOAD))


def live(machine: Scripted, *, clock: float = 0.0) -> LiveJob:
    """A job that was just given its devices."""
    job = LiveJob(
        number=1,
        job_id="tj_1",
        spec=TuningSpec.model_validate(SPEC),
        machine=machine,
        elapsed_seconds=clock,
    )
    job.give(CAPACITY)
    return job


def run(job: LiveJob) -> None:
    """Let devices take all that waits."""
    for attempt, _ in tuple(job.waiting.values()):
        job.handed(attempt)


def test_the_first_turn_starts_the_job_and_its_measurements() -> None:
    """Capacity, starts and attempts are one turn, in that order."""
    job = live(Scripted(offers=[start("a"), start("b")]))
    turn = job.advance()
    assert turn is not None
    assert turn.state is JobState.RUNNING
    assert turn.events[0] == CAPACITY
    assert [type(event) for event in turn.events[1:]] == [Started, Started]
    assert {change.state for change in turn.attempts} == {AttemptState.STARTING}
    assert set(job.waiting) == {"a", "b"}


def test_without_news_there_is_no_turn() -> None:
    """Nothing is written while nothing happens."""
    job = live(Scripted(offers=[start("a")]))
    assert job.advance() is not None
    run(job)
    assert job.advance() is None


def test_an_order_is_given_once() -> None:
    """A tightening that stands is passed on once, a tighter one again."""
    machine = Scripted(offers=[start("a")])
    job = live(machine)
    job.advance()
    run(job)
    machine.offers = [Tighten(request_id="a", max_steps=9)]
    attempt = AttemptId(job_id="tj_1", request_id="a", number=1)
    assert job.orders() == [(attempt, Tighten(request_id="a", max_steps=9))]
    assert job.orders() == []
    machine.offers = [Tighten(request_id="a", max_steps=5), Withdraw(request_id="gone")]
    assert job.orders() == [(attempt, Tighten(request_id="a", max_steps=5))]


def test_an_answer_ends_what_still_runs() -> None:
    """The job ends when its last attempt has, and not before."""
    machine = Scripted(offers=[start("a"), start("b")])
    job = live(machine)
    job.advance()
    run(job)
    result = World().measure(Inspect(id="a", workload=WORKLOAD))
    job.take(Finished(attempt=job.running["a"], result=result))
    machine.finished, machine.failure = True, Problem(code="not_answerable", detail="No.")
    job.advance()
    assert job.state is None
    ((attempt, order),) = job.orders()
    assert order == Withdraw(request_id="b")
    job.take(Finished(attempt=attempt, result=result))
    turn = job.advance()
    assert turn is not None
    assert job.state is turn.state is JobState.FAILED
    assert turn.problem is not None
    assert turn.problem["code"] == "not_answerable"


def test_the_time_that_has_passed_counts_after_a_restart() -> None:
    """A job whose time was over while nobody drove it is stopped at once, and once."""
    machine = Scripted(offers=[start("a")])
    job = live(machine, clock=601.0)
    job.advance()
    job.advance()
    assert [event for event in machine.told if isinstance(event, Stop)] == [Stop(reason="timeout")]


def test_a_machine_with_nothing_to_do_is_an_error() -> None:
    """With devices, without a measurement and without an answer, it would wait for ever."""
    with pytest.raises(TunerError, match="nothing left to do"):
        live(Scripted()).advance()


def test_numbers_that_json_cannot_hold_become_null() -> None:
    """A value that is not finite was not measured."""
    job = live(Scripted(offers=[start("a")]))
    turn = job.advance()
    assert turn is not None
    assert turn.progress is not None
    assert turn.progress["fraction"] is None
    assert plain({"a": [1.0, float("inf")], "b": (True, "x")}) == {
        "a": [1.0, None],
        "b": [True, "x"],
    }
