"""What was found about a configuration: one verdict for each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from batchscout.check.configuration import Place, Role


class Level(StrEnum):
    """How a verdict counts; the worst decides the exit code."""

    OK = "ok"
    WARNING = "warning"
    """Not what was measured to be best, within the tolerance: exit 0."""
    UNTOLD = "untold"
    """Cannot be told: exit 3."""
    ERROR = "error"
    """Negative: exit 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to one question about a configuration.

    Args:
        code: Which question: `out_of_memory`, `batch_arithmetic`, `learning_rate`, `slow_down`,
            `stale_lock`, or `config` for what a file does not tell.
        level: How it counts.
        detail: One or two sentences with the numbers.
        numbers: The same for programs; units end the names.
        role: The setting that it blames, if it is one.
        place: Where that stands.
    """

    code: str
    level: Level
    detail: str
    numbers: Mapping[str, float | int | str | None]
    role: Role | None = None
    place: Place | None = None
