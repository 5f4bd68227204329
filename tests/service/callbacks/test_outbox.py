"""The outbox: due with the end of a job, tried until it arrives, whatever dies in between."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from batchscout.callbacks import verify
from service.callback_secret import secret_of
from service.callbacks.outbox import PAUSES_SECONDS, Outbox
from service.callbacks.sender import Sender, Tried
from service.settings import Settings
from service.store.callbacks import Callbacks, Settlement
from service.store.database import Database, now
from service.store.jobs import Asked, Jobs
from service.store.ledger import Ledger, Turn
from service.store.tables import Callback, CallbackState, Job, JobState
from tests.service.callbacks.receiver import Receiver, status

WAIT_SECONDS = 30.0
MAX_TURNS = 50


@pytest.fixture
def callbacks(database: Database) -> Callbacks:
    """The outbox's half of the store."""
    return Callbacks(database)


@pytest.fixture
def outbox(callbacks: Callbacks, sender: Sender, settings: Settings) -> Outbox:
    """An outbox that a test drives by hand."""
    return outbox_of(callbacks, sender, settings)


def outbox_of(callbacks: Callbacks, sender: Any, settings: Settings) -> Outbox:
    """An outbox whose jitter is nought."""
    return Outbox(
        callbacks=callbacks,
        sender=sender,
        secret_of=lambda owner: secret_of(settings, owner),
        interval_seconds=0.01,
        random_share=lambda: 0.5,
    )


def add(jobs: Jobs, url: str, owner: str | None = None) -> Job:
    """Queue a job with a callback."""
    asked = Asked(callback_url=url, owner=owner)
    return jobs.create({}, "sha256:0", max_queued=1000, asked=asked)


def end(ledger: Ledger, job: Job, state: JobState = JobState.SUCCEEDED) -> None:
    """Run a job to its end."""
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))
    ledger.commit(Turn(job_number=job.number, state=state))


def callback_of(jobs: Jobs, job: Job) -> Callback:
    """The callback of a job as it is now."""
    found = jobs.get(job.id)
    assert found is not None
    assert found.callback is not None
    return found.callback


def make_due(database: Database, callback: Callback) -> None:
    """Let the time until the next try pass."""
    with database.write() as session:
        session.execute(
            update(Callback)
            .where(Callback.id == callback.id, Callback.next_at.is_not(None))
            .values(next_at=now() - timedelta(seconds=1))
        )


def deliver(outbox: Outbox) -> int:
    """Make one pass, and wait for what it has begun."""
    begun = outbox.turn()
    outbox.join(WAIT_SECONDS)
    return begun


def test_nothing_is_sent_before_the_end(
    jobs: Jobs, ledger: Ledger, outbox: Outbox, received: Receiver
) -> None:
    """A callback waits for its job, also while that runs."""
    job = add(jobs, received.url())
    assert deliver(outbox) == 0
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))
    assert deliver(outbox) == 0
    assert callback_of(jobs, job).state == "waiting"
    assert received.requests == []


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_the_end_is_told_once(
    settings: Settings,
    jobs: Jobs,
    ledger: Ledger,
    outbox: Outbox,
    received: Receiver,
    state: JobState,
) -> None:
    """The message says which job and how it ended, signed with its owner's secret."""
    job = add(jobs, received.url(), owner="key_1")
    end(ledger, job, state)
    assert callback_of(jobs, job).state == "pending"
    assert deliver(outbox) == 1
    (request,) = received.requests
    message = verify(request.headers, request.body, secret_of(settings, "key_1"))
    found = jobs.get(job.id)
    assert found is not None
    assert found.finished_at is not None
    assert message == {
        "type": f"tuning_job.{state}",
        "timestamp": found.finished_at.isoformat(),
        "data": {"id": job.id, "state": str(state)},
    }
    assert found.callback is not None
    assert request.headers["webhook-id"] == found.callback.id
    assert (found.callback.state, found.callback.attempts) == ("delivered", 1)
    assert (found.callback.last_status, found.callback.last_error) == (204, None)
    assert found.callback.delivered_at is not None
    assert deliver(outbox) == 0


def test_a_job_that_is_cancelled_in_the_queue_is_told_of(
    jobs: Jobs, outbox: Outbox, received: Receiver
) -> None:
    """The controller has never seen it, yet its callback is due, and shown so at once."""
    job = add(jobs, received.url())
    cancelled = jobs.cancel(job.id)
    assert cancelled is not None
    assert cancelled.callback is not None
    assert cancelled.callback.state == "pending"
    assert deliver(outbox) == 1
    assert b'"tuning_job.cancelled"' in received.requests[0].body


def test_a_turn_that_fails_releases_nothing(jobs: Jobs, ledger: Ledger, received: Receiver) -> None:
    """The end of a job and its callback are one transaction."""
    job = add(jobs, received.url())
    ledger.commit(Turn(job_number=job.number, state=JobState.RUNNING))
    broken: dict[int, Any] = {0: {"not JSON": object()}}
    with pytest.raises(Exception, match="serializable"):
        ledger.commit(Turn(job_number=job.number, state=JobState.SUCCEEDED, trials=broken))
    assert callback_of(jobs, job).state == "waiting"


def test_tries_go_on_for_days_and_then_end(
    database: Database, jobs: Jobs, ledger: Ledger, outbox: Outbox, received: Receiver
) -> None:
    """Pauses grow, the message and its id stay the same, and the last failure gives it up."""
    received.answer = status(500)
    job = add(jobs, received.url())
    end(ledger, job)
    for attempt, pause in enumerate(PAUSES_SECONDS, start=1):
        before = now()
        assert deliver(outbox) == 1
        callback = callback_of(jobs, job)
        assert (callback.state, callback.attempts) == ("pending", attempt)
        assert callback.next_at is not None
        waits = (callback.next_at - before).total_seconds()
        assert pause <= waits <= pause + WAIT_SECONDS
        assert deliver(outbox) == 0
        make_due(database, callback)
    assert deliver(outbox) == 1
    callback = callback_of(jobs, job)
    assert (callback.state, callback.next_at) == ("given_up", None)
    assert callback.attempts == len(PAUSES_SECONDS) + 1
    assert callback.last_status == 500
    assert callback.last_error == "It was answered with 500."
    make_due(database, callback)
    assert deliver(outbox) == 0
    assert len({request.headers["webhook-id"] for request in received.requests}) == 1
    assert len({request.body for request in received.requests}) == 1
    assert timedelta(days=3) < timedelta(seconds=sum(PAUSES_SECONDS)) < timedelta(days=4)


@pytest.mark.parametrize(("share", "factor"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
def test_pauses_are_spread(
    callbacks: Callbacks, sender: Sender, share: float, factor: float
) -> None:
    """Each is up to a tenth shorter or longer."""
    spread = Outbox(
        callbacks=callbacks,
        sender=sender,
        secret_of=str,
        interval_seconds=1,
        random_share=lambda: share,
    )
    assert spread._pause_seconds(1) == pytest.approx(5 * factor)
    assert spread._pause_seconds(len(PAUSES_SECONDS)) == pytest.approx(86400 * factor)
    assert spread._pause_seconds(len(PAUSES_SECONDS) + 1) is None


def test_a_receiver_that_is_gone_is_left_alone(
    jobs: Jobs, ledger: Ledger, outbox: Outbox, received: Receiver
) -> None:
    """410 ends it at once."""
    received.answer = status(410)
    job = add(jobs, received.url())
    end(ledger, job)
    deliver(outbox)
    callback = callback_of(jobs, job)
    assert (callback.state, callback.attempts, callback.last_status) == ("given_up", 1, 410)


def test_a_redirect_inside_is_a_failure(
    jobs: Jobs, ledger: Ledger, outbox: Outbox, received: Receiver
) -> None:
    """Whatever `Location` says, it is not gone to."""
    received.answer = status(307, {"Location": "http://169.254.169.254/latest/meta-data"})
    job = add(jobs, received.url())
    end(ledger, job)
    deliver(outbox)
    callback = callback_of(jobs, job)
    assert (callback.state, callback.last_status) == ("pending", 307)
    assert len(received.requests) == 1


class Dying(Callbacks):
    """A store whose process dies before the outcome of a try is written down."""

    def settle(self, callback_id: str, settlement: Settlement) -> None:
        """Die."""
        raise KeyError(callback_id)


def test_a_death_between_sending_and_recording_sends_again(
    database: Database,
    jobs: Jobs,
    ledger: Ledger,
    sender: Sender,
    settings: Settings,
    received: Receiver,
) -> None:
    """The second one comes once the claim has ended, under the same id, to the next process."""
    job = add(jobs, received.url())
    end(ledger, job)
    assert deliver(outbox_of(Dying(database), sender, settings)) == 1
    following = outbox_of(Callbacks(database), sender, settings)
    assert deliver(following) == 0  # claimed, and nobody knows yet that the other one is dead
    callback = callback_of(jobs, job)
    assert (callback.state, callback.attempts) == ("pending", 0)
    make_due(database, callback)
    assert deliver(following) == 1
    first, second = received.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert callback_of(jobs, job).state == "delivered"


def test_two_processes_do_not_send_the_same(
    database: Database, jobs: Jobs, ledger: Ledger, callbacks: Callbacks, received: Receiver
) -> None:
    """Of two that saw it due, one gets it."""
    job = add(jobs, received.url())
    end(ledger, job)
    (due,) = callbacks.due(10)
    until = now() + timedelta(seconds=60)
    assert callbacks.claim([due.id], until=until) == {due.id}
    assert Callbacks(database).claim([due.id], until=until) == frozenset()


def test_what_was_settled_or_removed_stays_so(
    jobs: Jobs, ledger: Ledger, callbacks: Callbacks, received: Receiver
) -> None:
    """Late news of a try change nothing."""
    job = add(jobs, received.url())
    end(ledger, job)
    (due,) = callbacks.due(10)
    arrived = Settlement(state=CallbackState.DELIVERED, next_at=None, status=200, error=None)
    late = Settlement(state=CallbackState.PENDING, next_at=now(), status=500, error="no")
    callbacks.settle(due.id, arrived)
    callbacks.settle(due.id, late)
    callbacks.settle("msg_of_a_job_that_was_deleted", late)
    callback = callback_of(jobs, job)
    assert (callback.state, callback.attempts, callback.last_status) == ("delivered", 1, 200)


def test_a_slow_receiver_holds_up_nobody(
    settings: Settings, callbacks: Callbacks, jobs: Jobs, ledger: Ledger, received: Receiver
) -> None:
    """Of one host so many are under way; the messages to others pass by."""
    slow = Blocked()
    outbox = outbox_of(callbacks, slow, settings)
    for _ in range(20):
        end(ledger, add(jobs, "http://slow.example:8000/"))
    other = add(jobs, "http://other.example:8000/")
    end(ledger, other)
    try:
        begun = sum(outbox.turn() for _ in range(MAX_TURNS))
        assert begun == 3
        eventually(lambda: len(slow.urls) == begun)
        assert sorted(slow.urls) == ["http://other.example:8000/"] + 2 * [
            "http://slow.example:8000/"
        ]
    finally:
        slow.release()
    outbox.join(WAIT_SECONDS)
    assert deliver(outbox) == 2


class Blocked:
    """A sender whose receivers do not answer until a test lets them."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self._over = threading.Event()

    def send(self, *, url: str, message_id: str, body: bytes, secret: str) -> Tried:
        """Wait, then arrive."""
        self.urls.append(url)
        assert self._over.wait(WAIT_SECONDS)
        return Tried(status=200, error=None)

    def release(self) -> None:
        """Let everybody answer."""
        self._over.set()


def test_a_change_of_the_callback_is_a_change_of_the_job(
    jobs: Jobs, ledger: Ledger, outbox: Outbox, received: Receiver
) -> None:
    """Who has the ETag of the ended job is told that its callback has arrived."""
    job = add(jobs, received.url())
    end(ledger, job)
    before = jobs.get(job.id)
    deliver(outbox)
    after = jobs.get(job.id)
    assert before is not None
    assert after is not None
    assert after.revision == before.revision + 1


def test_a_full_disk_stops_no_outbox(
    callbacks: Callbacks,
    sender: Sender,
    settings: Settings,
    jobs: Jobs,
    ledger: Ledger,
    received: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Errors of the database are waited for, and said once."""
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415 - the fault of this test alone

    failures = [OperationalError("x", {}, Exception("disk is full")) for _ in range(3)]

    class Failing(Callbacks):
        def claim(self, *args: Any, **named: Any) -> frozenset[str]:
            if failures:
                raise failures.pop()
            return callbacks.claim(*args, **named)

    job = add(jobs, received.url())
    end(ledger, job)
    outbox = outbox_of(Failing(callbacks._database), sender, settings)
    with caplog.at_level(logging.WARNING):
        outbox.start()
        eventually(lambda: callback_of(jobs, job).state == "delivered")
        outbox.close()
    assert caplog.text.count("while the database fails") == 1


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    pause = threading.Event()
    for _ in range(1500):
        if condition():
            return
        pause.wait(0.02)
    pytest.fail("it never came true")


def test_neither_secret_nor_query_is_logged(
    settings: Settings,
    jobs: Jobs,
    ledger: Ledger,
    outbox: Outbox,
    received: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names message and job; the database's own words are no way out either."""
    received.answer = status(500)
    job = add(jobs, received.url("/hook?token=hidden"), owner="key_1")
    end(ledger, job)
    with caplog.at_level(logging.INFO):
        deliver(outbox)
    assert job.id in caplog.text
    assert "hidden" not in caplog.text
    assert secret_of(settings, "key_1") not in caplog.text
    assert "hidden" not in repr(Callbacks(jobs._database).due(10))
    assert "hidden" not in repr(Asked(callback_url="https://a.example/?hidden"))
