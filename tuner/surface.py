"""What a tuning believes of batches and rates that it may not have tried, on a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """The posterior of the score on a grid; lower is better.

    Args:
        batch_sizes: Global batch sizes, ascending.
        learning_rates: Peak rates, ascending.
        means: Expected score, one row for each batch, one value for each rate: ln of the
            calibrated seconds to the target, or of the loss or error rate at the end.
        deviations: Standard deviation of that expectation, of the same shape.
        goal: `time` or `metric`, which of the two scores it is.
        trials: Trials that it rests on, those of the race included.
    """

    batch_sizes: tuple[int, ...]
    learning_rates: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    deviations: tuple[tuple[float, ...], ...]
    goal: str
    trials: int

    def plain(self) -> dict[str, Any]:
        """Write it as plain JSON values that `read` understands."""
        return {
            "batch_sizes": list(self.batch_sizes),
            "learning_rates": list(self.learning_rates),
            "means": [list(row) for row in self.means],
            "deviations": [list(row) for row in self.deviations],
            "goal": self.goal,
            "trials": self.trials,
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Read back what `plain` wrote.

        Raises:
            KeyError: Something is missing.
            TypeError: Something is of another kind.
            ValueError: A number is none.
        """
        return cls(
            batch_sizes=tuple(int(size) for size in values["batch_sizes"]),
            learning_rates=tuple(float(rate) for rate in values["learning_rates"]),
            means=tuple(tuple(float(mean) for mean in row) for row in values["means"]),
            deviations=tuple(tuple(float(one) for one in row) for row in values["deviations"]),
            goal=str(values["goal"]),
            trials=int(values["trials"]),
        )
