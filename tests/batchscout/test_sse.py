"""Reading Server-Sent Events: whatever way a connection cuts them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscout.sse import Decoder, Message

STREAM = (
    "\ufeffretry: 1500\r\n\r\n: a comment\r\n\r\nevent: trial\rdata: {\rdata:  }\r\r"
    "id: 7\nevent: job\ndata: ü\n\nid: 8\n\ndata\n\nevent: nothing\n\nid: 9\ndata: cut of"
).encode()

EXPECTED = [
    Message(event="trial", data="{\n }"),
    Message(event="job", data="ü"),
    Message(event="message", data=""),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_messages_do_not_depend_on_the_pieces(cuts: list[int]) -> None:
    """Cut anywhere, also within a character or a line break, the same comes out."""
    places = [0, *sorted(cuts), len(STREAM)]
    decoder = Decoder("6")
    found = [
        message
        for start, end in itertools.pairwise(places)
        for message in decoder.feed(STREAM[start:end])
    ]
    assert found == EXPECTED
    assert (decoder.last_event_id, decoder.retry_seconds) == ("8", 1.5)


@pytest.mark.parametrize("line", ["retry: soon", "retry: -1", "id: \0", "nonsense", "retry: ²"])
def test_fields_that_make_no_sense_are_passed_over(line: str) -> None:
    """Neither the id nor the rest changes by them."""
    decoder = Decoder("3")
    (message,) = decoder.feed(f"{line}\ndata: x\n\n".encode())
    assert message.data == "x"
    assert (decoder.last_event_id, decoder.retry_seconds) == ("3", None)
