"""The last lines that were printed."""

from __future__ import annotations

import os

from workers.output import TAIL_BYTES, Output


def test_only_the_end_is_kept_and_no_writer_waits() -> None:
    """Far more than a pipe holds is taken, and the last bytes are told."""
    source, sink = os.pipe()
    output = Output(source)
    for line in range(20_000):
        os.write(sink, b"line %d\n" % line)
    tail = output.tail()
    assert tail.endswith("line 19999")
    assert len(tail) <= TAIL_BYTES
    os.close(sink)
    output.join(10.0)
    assert output.tail().endswith("line 19999")


def test_what_was_cleared_is_not_told_again() -> None:
    """After clearing, the tail begins with what is printed next, whole or half a letter."""
    source, sink = os.pipe()
    output = Output(source)
    os.write(sink, b"old")
    output.clear()
    assert output.tail() == ""
    os.write(sink, "né".encode()[:2])
    assert output.tail() == "n\N{REPLACEMENT CHARACTER}"
    os.close(sink)
    output.join(10.0)
