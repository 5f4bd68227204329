"""Whole messages over a socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from workers import channel as channels
from workers.channel import Channel, ChannelClosed
from workers.messages import LENGTH, MAX_FRAME_BYTES, Ping, ProtocolError, Ready, pack


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel and the bare socket at its other end."""
    near, far = socket.socketpair()
    channel = Channel(near)
    yield channel, far
    channel.close()
    far.close()


def test_a_message_that_comes_in_pieces_is_read_once_it_is_whole(ends) -> None:
    """Nothing is returned before the last byte, and nothing is lost."""
    channel, far = ends
    frame = pack(Ready(versions={"python": "3.12"})) + pack(Ping(number=2))
    for position in range(len(frame) - 1):
        far.send(frame[position : position + 1])
        if position == 20:
            assert channel.receive(timeout_seconds=0.0) is None
    assert channel.receive(timeout_seconds=0.0) == Ready(versions={"python": "3.12"})
    assert channel.receive(timeout_seconds=0.0) is None
    far.send(frame[-1:])
    assert channel.receive() == Ping(number=2)


def test_a_message_larger_than_the_socket_s_buffer_arrives(ends) -> None:
    """A megabyte goes through while the other end reads."""
    channel, far = ends
    big = Ready(versions={"python": "3" * 2**20})
    other = Channel(far.dup())
    sender = threading.Thread(target=channel.send, args=(big,))
    sender.start()
    assert other.receive() == big
    sender.join()
    other.close()


def test_the_end_of_the_other_side_is_told(ends) -> None:
    """Reading from and writing to an end that is gone raises."""
    channel, far = ends
    far.close()
    with pytest.raises(ChannelClosed):
        channel.receive()
    with pytest.raises(ChannelClosed):
        channel.send(Ping(number=1))


def test_a_length_over_the_limit_is_refused_before_it_is_read(ends) -> None:
    """Four bytes that announce too much raise at once: nothing of it is kept."""
    channel, far = ends
    far.send(LENGTH.pack(MAX_FRAME_BYTES + 1))
    with pytest.raises(ProtocolError, match="is over"):
        channel.receive()


def test_an_end_that_does_not_read_counts_as_gone(ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender never waits for ever for a reader that has stopped."""
    monkeypatch.setattr(channels, "SEND_SECONDS", 0.05)
    _, far = ends
    stuck = Channel(far.dup())
    with pytest.raises(ChannelClosed):
        stuck.send(Ready(versions={"python": "3" * 2**24}))
    stuck.close()
