"""The exit codes of every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code says, so that scripts need not read its output."""

    OK = 0
    """Done, and the verdict is positive."""
    NEGATIVE = 1
    """A failed job, or a negative verdict, such as a target that no run reached."""
    USAGE = 2
    """The command line or the spec has to change."""
    UNTOLD = 3
    """No verdict: cancelled, or what is needed to tell is not there."""
    LATER = 75
    """Try later: nobody answers at that address, or the service is too busy (EX_TEMPFAIL)."""
