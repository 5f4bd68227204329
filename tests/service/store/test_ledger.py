"""The controller's half of the store: sequence, constraints, all or nothing."""

import math
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import AttemptChange, Ledger, Superseded, Turn
from service.store.tables import AttemptState, JobState, Record, ResultRow
from tests.tuner.world import World
from tuner.errors import IncompatibleRecord
from tuner.records import (
    CapacityChanged,
    CurvePoint,
    Event,
    Inspect,
    Outcome,
    Result,
    Started,
    Stop,
    TrainingResult,
    Workload,
)

CAPACITY = CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1)
WORKLOAD = Workload(
    model={"kind": "builtin"},
    dataset={},
    training={},
    metric="validation_loss",
    accelerator="cpu",
    data_seed=0,
)
REQUEST = Inspect(id="inspect-0", workload=WORKLOAD)
RESULT = TrainingResult(
    outcome=Outcome.DIVERGED,
    steps=2,
    crossing_steps=None,
    curve=(CurvePoint(step=1, value=2.3), CurvePoint(step=2, value=math.inf)),
    limit_applied=9,
)


@pytest.fixture
def number(jobs: Jobs, ledger: Ledger) -> int:
    """A running job."""
    job = jobs.create({}, "sha256:0", max_queued=100)
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING, events=[CAPACITY]))
    return job.number


def change(state: AttemptState, number: int = 1, request_id: str = "inspect-0") -> AttemptChange:
    """An attempt in a new state."""
    return AttemptChange(request_id=request_id, number=number, state=state)


def test_events_come_back_as_they_went_in(ledger: Ledger, number: int) -> None:
    """In order, results with their curves, infinities included."""
    events: list[Event] = [Started(request=REQUEST), Result(request_id="r-1", result=RESULT)]
    ledger.commit(Turn(job_number=number, events=events))
    ledger.commit(Turn(job_number=number, events=[Stop(reason="timeout")]))
    assert ledger.history(number).events == (CAPACITY, *events, Stop(reason="timeout"))


def test_curves_are_not_in_the_events(database: Database, ledger: Ledger, number: int) -> None:
    """A record stays small; what was measured lies in its own table."""
    ledger.commit(Turn(job_number=number, events=[Result(request_id="r-1", result=RESULT)]))
    with database.read() as session:
        record = session.get(Record, (number, 2))
        stored = session.get(ResultRow, (number, "r-1"))
    assert record is not None
    assert stored is not None
    assert record.event["result"] is None
    assert len(stored.payload["curve"]) == 2


def test_every_kind_of_measurement_can_be_stored(ledger: Ledger, number: int) -> None:
    """What a world measures survives the way through the database."""
    result = Result(request_id="inspect-0", result=World().measure(REQUEST))
    ledger.commit(Turn(job_number=number, events=[result]))
    assert ledger.history(number).events[-1] == result


def test_sequences_count_per_job(
    database: Database, jobs: Jobs, ledger: Ledger, number: int
) -> None:
    """Each job counts its own records from 1 without a gap."""
    other = jobs.create({}, "sha256:0", max_queued=100).number
    ledger.commit(Turn(job_number=other, state=JobState.RUNNING))
    for _ in range(3):
        ledger.commit(Turn(job_number=number, events=[Stop(reason="a"), Stop(reason="b")]))
        ledger.commit(Turn(job_number=other, events=[Stop(reason="c")]))
    with database.read() as session:
        assert session.get(Record, (number, 7)) is not None
        assert session.get(Record, (number, 8)) is None
        assert session.get(Record, (other, 3)) is not None
        assert session.get(Record, (other, 4)) is None


def test_a_second_result_is_impossible(ledger: Ledger, jobs: Jobs, number: int) -> None:
    """The database refuses it, and nothing of that turn is left."""
    result = Result(request_id="r-1", result=RESULT)
    ledger.commit(Turn(job_number=number, events=[result]))
    before = ledger.history(number)
    with pytest.raises(IntegrityError):
        ledger.commit(Turn(job_number=number, events=[Stop(reason="x"), result], stage="race"))
    assert ledger.history(number) == before
    (job,) = jobs.page(limit=1)
    assert (job.stage, job.last_sequence) == (None, 2)


def test_a_sequence_number_is_given_once(database: Database, number: int) -> None:
    """Two records of one number cannot both be there."""
    row = {"job_number": number, "sequence": 1, "event": {}, "created_at": datetime.now(UTC)}
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(insert(Record).values(row))


def test_at_most_one_attempt_of_a_request_is_alive(ledger: Ledger, number: int) -> None:
    """A second one can start only when the first one has ended."""
    ledger.commit(Turn(job_number=number, attempts=[change(AttemptState.STARTING)]))
    with pytest.raises(IntegrityError):
        ledger.commit(Turn(job_number=number, attempts=[change(AttemptState.STARTING, 2)]))
    lost, again = change(AttemptState.LOST), change(AttemptState.STARTING, 2)
    ledger.commit(Turn(job_number=number, attempts=[lost, again]))
    history = ledger.history(number)
    assert (history.alive, history.attempts) == ({"inspect-0": 2}, {"inspect-0": 2})


def test_an_attempt_that_has_ended_stays_so(ledger: Ledger, number: int) -> None:
    """Late news do not bring it back to life."""
    ledger.commit(Turn(job_number=number, attempts=[change(AttemptState.STARTING)]))
    ledger.commit(Turn(job_number=number, attempts=[change(AttemptState.FINISHED)]))
    ledger.commit(Turn(job_number=number, attempts=[change(AttemptState.RUNNING)]))
    assert ledger.history(number).alive == {}


def test_a_job_that_was_cancelled_in_the_queue_is_not_started(jobs: Jobs, ledger: Ledger) -> None:
    """Of two that want to decide about a queued job, the first one wins."""
    job = jobs.create({}, "sha256:0", max_queued=100)
    jobs.cancel(job.id)
    with pytest.raises(Superseded):
        ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING, events=[CAPACITY]))
    assert ledger.history(job.number).events == ()


def test_a_job_that_has_ended_gets_no_more_records(ledger: Ledger, number: int) -> None:
    """Its sequence is closed."""
    ledger.commit(Turn(job_number=number, state=JobState.CANCELLED))
    with pytest.raises(Superseded):
        ledger.commit(Turn(job_number=number, events=[Stop(reason="late")]))


def test_a_turn_does_not_undo_a_cancel(jobs: Jobs, ledger: Ledger, number: int) -> None:
    """What the API has asked for stays, whatever the controller writes meanwhile."""
    (job,) = jobs.page(limit=1)
    jobs.cancel(job.id)
    ledger.commit(Turn(job_number=number, stage="memory", progress={"stage": "memory"}))
    (job,) = jobs.page(limit=1)
    assert (job.state, job.stage) == ("cancelling", "memory")


def test_a_record_of_another_version_is_refused(
    database: Database, ledger: Ledger, number: int
) -> None:
    """Nothing is guessed from it."""
    with database.write() as session:
        session.execute(update(Record).values(event={"record": "Started", "version": 99}))
    with pytest.raises(IncompatibleRecord):
        ledger.history(number)


def test_the_devices_are_those_of_the_last_beat(jobs: Jobs, ledger: Ledger) -> None:
    """A device that is gone is no longer listed, and the controller is one."""
    for devices in (["a", "b"], ["b", "c"]):
        views = [{"id": name, "pid": 1} for name in devices]
        ledger.beat(pid=7, started_at=datetime.now(UTC), devices=views)
    controller, found = jobs.devices()
    assert controller is not None
    assert controller.pid == 7
    assert [device.id for device in found] == ["b", "c"]
