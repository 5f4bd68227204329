"""What a method advises: once for a budget, or all along the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.search.grid import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What a method would have a user train with.

    Args:
        cell: The configuration; None where the method has no answer.
        spent_seconds: Device seconds behind it.
        note: What kind of answer it is, or why there is none.
        out_of_memory: How often it ran out of memory.
        trials: Configurations that it tried.
    """

    cell: Cell | None
    spent_seconds: float
    note: str = ""
    out_of_memory: int = 0
    trials: int = 0


@dataclass(slots=True, kw_only=True)
class Trail:
    """The advice of an anytime method, in the order of what had been spent."""

    steps: list[Advice] = field(default_factory=list)

    def at(self, budget_seconds: float) -> Advice:
        """Return the last advice that a budget had paid for; none at first."""
        within = [one for one in self.steps if one.spent_seconds <= budget_seconds]
        return within[-1] if within else Advice(cell=None, spent_seconds=0.0, note="nothing ended")
