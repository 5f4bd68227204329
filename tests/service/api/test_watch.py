"""Long polls: one look for all, and nobody is kept waiting by a dead database."""

import asyncio
import threading
from collections.abc import Collection

import pytest

from service.api.watch import EACH_SECONDS, Status, Watch


class Board:
    """Statuses of jobs, and how often they were read."""

    def __init__(self) -> None:
        self.jobs: dict[str, Status] = {"a": (1, "queued"), "b": (1, "queued")}
        self.reads: list[set[str]] = []
        self.broken = False

    def read(self, job_ids: Collection[str]) -> dict[str, Status]:
        """Read several at once."""
        self.reads.append(set(job_ids))
        if self.broken:
            raise OSError
        return {name: self.jobs[name] for name in job_ids if name in self.jobs}


@pytest.fixture
def board() -> Board:
    """Two queued jobs."""
    return Board()


def changed(status: Status) -> bool:
    """Whether a job is beyond its first revision."""
    return status[0] > 1


async def ended(task: asyncio.Task[None]) -> bool:
    """Whether a task ends within a moment."""
    done, _ = await asyncio.wait([task], timeout=0.2)
    return bool(done)


def test_each_waits_for_its_own_job(board: Board) -> None:
    """A change wakes those who wait for that job, and all are looked after in one read."""

    async def story() -> None:
        watch = Watch(board.read, interval_seconds=0.001)
        one = asyncio.create_task(watch.wait("a", changed, timeout_seconds=30))
        other = asyncio.create_task(watch.wait("b", changed, timeout_seconds=30))
        assert not await ended(one)
        board.jobs["a"] = (2, "running")
        assert await ended(one)
        assert not other.done()
        watch.close()
        assert await ended(other)

    asyncio.run(story())
    assert {"a", "b"} in board.reads


def test_news_rest_while_many_are_told_and_an_end_does_not(board: Board) -> None:
    """After many were told of a change the next one waits, but nobody waits for an end."""
    moments = [0.0]

    async def story() -> None:
        watch = Watch(board.read, interval_seconds=0.001, clock=lambda: moments[0])

        def wait(revision: int) -> asyncio.Task[None]:
            beyond = watch.wait("a", lambda status: status[0] > revision, timeout_seconds=30)
            return asyncio.create_task(beyond)

        first = [wait(1) for _ in range(20)]
        board.jobs["a"] = (2, "running")
        await asyncio.wait(first, timeout=20)
        again = wait(2)
        board.jobs["a"] = (3, "running")
        moments[0] = 19 * EACH_SECONDS
        assert not await ended(again)
        moments[0] = 20 * EACH_SECONDS
        assert await ended(again)
        last = wait(3)
        board.jobs["a"] = (4, "succeeded")
        assert await ended(last)

    asyncio.run(story())


def test_two_hundred_cost_one_look(board: Board) -> None:
    """However many wait for a job, one look tells them all; others go on waiting."""

    async def story() -> None:
        watch = Watch(board.read, interval_seconds=0.001)
        many = [
            asyncio.create_task(watch.wait("a", changed, timeout_seconds=30)) for _ in range(200)
        ]
        other = asyncio.create_task(watch.wait("b", changed, timeout_seconds=30))
        assert not await ended(other)
        before = len(board.reads)
        board.jobs["a"] = (2, "running")
        await asyncio.wait(many, timeout=20)
        assert all(task.done() for task in many)
        assert not await ended(other)
        # One look may have been under way when the job changed.
        assert len([read for read in board.reads[before:] if "a" in read]) <= 2
        watch.close()
        assert await ended(other)

    asyncio.run(story())


def test_a_job_that_is_deleted_keeps_nobody_waiting(board: Board) -> None:
    """The request then finds no job, and says so."""

    async def story() -> None:
        watch = Watch(board.read, interval_seconds=0.001)
        task = asyncio.create_task(watch.wait("a", changed, timeout_seconds=30))
        assert not await ended(task)
        del board.jobs["a"]
        assert await ended(task)

    asyncio.run(story())


def test_who_comes_during_a_look_is_asked_for_in_the_next(board: Board) -> None:
    """A job that a look did not ask for is not taken for one that is gone."""
    looking, go_on = threading.Event(), threading.Event()

    def read(job_ids: Collection[str]) -> dict[str, Status]:
        looking.set()
        go_on.wait(20)
        return board.read(job_ids)

    async def story() -> None:
        watch = Watch(read, interval_seconds=0.001)
        first = asyncio.create_task(watch.wait("a", changed, timeout_seconds=30))
        await asyncio.to_thread(looking.wait, 20)
        second = asyncio.create_task(watch.wait("b", changed, timeout_seconds=30))
        await asyncio.sleep(0)
        go_on.set()
        assert not await ended(second)
        watch.close()
        assert await ended(first)
        assert await ended(second)

    asyncio.run(story())
    assert board.reads[0] == {"a"}


def test_the_time_is_up_some_time(board: Board) -> None:
    """A wait ends without a change, and then nobody looks any more."""

    async def story() -> None:
        watch = Watch(board.read, interval_seconds=0.001)
        await watch.wait("a", changed, timeout_seconds=0.05)
        await asyncio.sleep(0.05)
        reads = len(board.reads)
        await asyncio.sleep(0.05)
        assert len(board.reads) == reads

    asyncio.run(story())


def test_after_the_end_nobody_waits(board: Board) -> None:
    """A service that stops lets everyone go at once."""

    async def story() -> None:
        watch = Watch(board.read, interval_seconds=0.001)
        watch.close()
        task = asyncio.create_task(watch.wait("a", changed, timeout_seconds=30))
        assert await ended(task)

    asyncio.run(story())
    assert board.reads == []


def test_a_database_that_fails_ends_the_waiting(board: Board) -> None:
    """The request then reads for itself, and reports what is wrong."""

    async def story() -> None:
        board.broken = True
        watch = Watch(board.read, interval_seconds=0.001)
        task = asyncio.create_task(watch.wait("a", changed, timeout_seconds=30))
        assert await ended(task)

    asyncio.run(story())
