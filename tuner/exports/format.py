"""What a format is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tuner.exports.plan import Plan

Keys: TypeAlias = Mapping[str, str]
"""From a role (`micro_batch_size`) to the user's own key (`train.batch`)."""


class UnusableKeys(Exception):
    """The user's own keys cannot be used; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An export.

    Args:
        text: The whole file, with a newline at the end.
        notes: What it leaves out or what has to be known, in sentences.
    """

    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A way of writing an answer.

    Args:
        name: As `--format` and `?format=` know it.
        media_type: Of the HTTP body.
        suffix: Of a file, with its dot.
        summary: One line for people.
        has_comments: Whether the text itself says what the numbers rest on.
        takes_keys: Whether the user's own keys are used.
        write: Writes the answer.
    """

    name: str
    media_type: str
    suffix: str
    summary: str
    has_comments: bool
    write: Callable[[Plan, Keys], Written]
    takes_keys: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it is text, and no JSON."""
        return not self.media_type.endswith("json")
