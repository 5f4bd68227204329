"""Streams of events: one look for all, state instead of history, and nobody holds others up."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.api import feeds as feeds_module
from service.api.event_stream import read_event_id
from service.api.feeds import Feeds
from tests.service.api.followers import LONG_SECONDS, Board, Reader, reader_of

Story = Callable[[Board, Feeds], Awaitable[None]]


def tell(story: Story) -> Board:
    """Play a story on a board with one job `a` that has two trials and is at revision 3."""
    board = Board()
    board.turn("a")
    board.turn("a", 0)
    board.turn("a", 1)

    async def play() -> None:
        feeds = board.feeds()
        await story(board, feeds)
        feeds.close()
        await feeds.wait_closed()

    asyncio.run(play())
    return board


def names(reader: Reader) -> list[str]:
    """Types of the events that a reader got."""
    return [name for name, _, _ in reader.events]


def numbers(reader: Reader) -> list[int]:
    """Numbers of the trials that a reader got."""
    return [data["number"] for name, _, data in reader.events if name == "trial"]


def test_a_fresh_reader_gets_all_there_is() -> None:
    """A snapshot without a reset: trials, then the job with its id and without its spec."""

    async def story(board: Board, feeds: Feeds) -> None:
        reader = reader_of(feeds).start()
        await reader.until("event: job")
        assert reader.text.startswith("retry: 2000\n\n")
        assert names(reader) == ["trial", "trial", "job"]
        assert [each for _, each, _ in reader.events] == [None, None, "3"]
        shown = reader.events[-1][2]
        assert (shown["id"], shown["revision"], "spec" in shown) == ("a", 3, False)
        board.turn("a", state="succeeded")
        await reader.end()
        assert reader.events[-1] == ("end", "4", {"state": "succeeded"})
        assert reader.complete

    tell(story)


@pytest.mark.parametrize(
    ("last_event_id", "trials", "is_reset"),
    [("3", [], False), ("2", [1], False), ("1", [0, 1], False), ("0", [0, 1], False)]
    + [(text, [0, 1], True) for text in ("4", "x", "-1", "1.0", "9" * 40, "²", "٣", "2 ")],
)
def test_a_reader_that_comes_back_gets_what_it_missed(
    last_event_id: str,
    trials: list[int],
    is_reset: bool,  # noqa: FBT001
) -> None:
    """What changed since the id; all of it after a reset if the id cannot be one of the job's."""

    async def story(board: Board, feeds: Feeds) -> None:
        reader = reader_of(feeds, revision=3, last_event_id=last_event_id).start()
        board.turn("a", state="cancelled")
        await reader.end()
        assert numbers(reader) == trials
        assert names(reader)[-2:] == ["job", "end"]
        assert ("reset" in names(reader)) == (names(reader)[0] == "reset") == is_reset

    tell(story)


def test_ids_may_be_sent_again_and_in_any_order() -> None:
    """Readers that name older and newer revisions each get what those lack."""

    async def story(board: Board, feeds: Feeds) -> None:
        ids = ["2", "1", "3", "1", "2"]
        readers = [reader_of(feeds, revision=3, last_event_id=each).start() for each in ids]
        board.turn("a", 2, state="succeeded")
        for reader in readers:
            await reader.end()
        assert [numbers(each) for each in readers] == [[1, 2], [0, 1, 2], [2], [0, 1, 2], [1, 2]]

    tell(story)


def test_where_changes_were_not_dated_a_reader_starts_anew() -> None:
    """An id from before the first dated change gets a reset; a later one is of use."""

    async def story(board: Board, feeds: Feeds) -> None:
        board.dated_from = 3
        early = reader_of(feeds, revision=3, last_event_id="2").start()
        late = reader_of(feeds, revision=3, last_event_id="3").start()
        fresh = reader_of(feeds, revision=3).start()
        board.turn("a", state="succeeded")
        for reader in (early, late, fresh):
            await reader.end()
        assert names(early) == ["reset", "trial", "trial", "job", "end"]
        assert names(late) == ["job", "end"]
        assert names(fresh) == ["trial", "trial", "job", "end"]

    tell(story)


def test_fifty_readers_cost_one_look() -> None:
    """Each change is read once for all; nobody looks once they have gone."""

    async def story(board: Board, feeds: Feeds) -> None:
        readers = [reader_of(feeds).start() for _ in range(50)]
        for reader in readers:
            await reader.until("id: 3")
        board.turn("a", 0, steps=7)
        for reader in readers:
            await reader.until("id: 4")
        assert feeds.readers == 50
        for reader in readers:
            reader.left.set()
            await reader.end()
        assert feeds.readers == 0
        await feeds.wait_closed()
        assert all(reader.text == readers[0].text for reader in readers)

    board = tell(story)
    revisions = [known["a"] for known in board.looks]
    assert revisions == sorted(revisions)
    assert revisions.count(0) == 1
    assert set(revisions) <= {0, 3, 4}


def test_many_readers_are_not_told_of_every_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """After many were told the next look rests, and what happened meanwhile is one state."""
    monkeypatch.setattr(feeds_module, "READER_SECONDS", LONG_SECONDS / 50)
    read: list[int] = []

    async def story(board: Board, feeds: Feeds) -> None:
        readers = [reader_of(feeds).start() for _ in range(50)]
        for reader in readers:
            await reader.until("id: 3")
        looks = len(board.looks)
        for _ in range(100):
            board.turn("a", 0)
            await asyncio.sleep(0.001)
        read.append(len(board.looks) - looks)

    tell(story)
    assert read[0] <= 1  # the one for a reader that came while the first was under way


def test_what_is_written_once_is_shared() -> None:
    """Readers that know the same are sent the very same bytes."""

    async def story(board: Board, feeds: Feeds) -> None:
        with feeds.follow("a") as feed:
            while feed.revision != 3:
                await feed.moved.wait()
            assert feed.since(2) is feed.since(2)
            assert feed.since(3) == b""

    tell(story)


def test_a_slow_reader_gets_the_newest_and_holds_nobody_up() -> None:
    """While it takes nothing others go on; then it gets one state instead of a history."""

    async def story(board: Board, feeds: Feeds) -> None:
        slow, fast = reader_of(feeds).start(), reader_of(feeds).start()
        await slow.until("id: 3")
        slow.ready.clear()
        for steps in range(200):
            revision = board.turn("a", 0, steps=steps)
            await fast.until(f"id: {revision}\n")
        slow.ready.set()
        await slow.until(f"id: {revision}\n")
        seen = [data["steps"] for name, _, data in slow.events if name == "trial"]
        assert seen[-1] == 199
        assert len(slow.events) <= 3 + 4  # the snapshot, what was under way, and the newest
        assert len(fast.events) == 3 + 400

    tell(story)


def test_a_reader_that_leaves_is_dropped_at_once() -> None:
    """Even one that takes nothing any more."""

    async def story(board: Board, feeds: Feeds) -> None:
        reader = reader_of(feeds).start()
        await reader.until("id: 3")
        reader.ready.clear()
        board.turn("a")
        reader.left.set()
        await reader.end()
        assert (feeds.readers, reader.complete) == (0, False)

    tell(story)


def test_a_deleted_job_ends_its_streams() -> None:
    """The last event says that the job is gone."""

    async def story(board: Board, feeds: Feeds) -> None:
        reader = reader_of(feeds).start()
        await reader.until("id: 3")
        del board.jobs["a"]
        await reader.end()
        assert reader.events[-1] == ("end", None, {"state": "deleted"})
        assert reader.complete

    tell(story)


def test_a_revoked_key_ends_the_streams_that_it_opened() -> None:
    """At once and without an `end`; where nobody needs a key the stream goes on."""

    async def story(board: Board, feeds: Feeds) -> None:
        keyed, open_to_all = reader_of(feeds, needs_key=True).start(), reader_of(feeds).start()
        await keyed.until("id: 3")
        board.revoked.add("a")
        await keyed.end()
        assert keyed.complete
        assert "end" not in names(keyed)
        board.turn("a")
        await open_to_all.until("id: 4")
        late = reader_of(feeds, needs_key=True).start()
        await late.end()
        assert late.events == []

    tell(story)


def test_a_service_that_stops_lets_readers_go() -> None:
    """Streams end without an `end`, so that readers come back; late ones are let go too."""

    async def story(board: Board, feeds: Feeds) -> None:
        reader = reader_of(feeds).start()
        await reader.until("id: 3")
        feeds.close()
        await reader.end()
        late = reader_of(feeds).start()
        await late.end()
        assert (reader.complete, late.complete) == (True, True)
        assert "end" not in names(reader)
        assert late.events == []

    tell(story)


def test_a_broken_database_is_told_and_waited_for() -> None:
    """The reader gets a comment, and goes on where it was when the database is back."""

    async def story(board: Board, feeds: Feeds) -> None:
        reader = reader_of(feeds).start()
        await reader.until("id: 3")
        board.broken = True
        await reader.until(": the database does not answer")
        board.turn("a", 1, steps=5)
        board.broken = False
        await reader.until("id: 4")
        assert names(reader) == ["trial", "trial", "job", "trial", "job"]

    tell(story)


def test_a_silent_stream_shows_that_it_lives() -> None:
    """Comments come while nothing happens, and until the time of the stream is up."""

    async def story(board: Board, feeds: Feeds) -> None:
        reader = reader_of(feeds, heartbeat_seconds=0.005, lifetime_seconds=0.1).start()
        await reader.end()
        assert reader.text.count(": still here") >= 2
        assert names(reader) == ["trial", "trial", "job"]
        assert reader.complete

    tell(story)


def test_a_trial_of_another_version_is_left_out() -> None:
    """The job goes on although one of its trials cannot be read."""

    async def story(board: Board, feeds: Feeds) -> None:
        board.trials["a"][0].view = {"number": "none"}
        reader = reader_of(feeds).start()
        await reader.until("id: 3")
        assert numbers(reader) == [1]

    tell(story)


def test_an_empty_id_is_that_of_a_fresh_reader() -> None:
    """As no id at all; a revision of the future is none that the job has given."""
    assert read_event_id("", 3) == read_event_id(None, 3) == 0
    assert read_event_id("3", 3) == 3
    assert read_event_id("4", 3) is None
