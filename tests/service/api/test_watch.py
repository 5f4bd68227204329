"""Long polls: one look for all, and nobody is kept waiting by a dead database."""

import asyncio
from collections.abc import Collection

import pytest

from service.api.watch import Status, Watch


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
