"""An axis of a static figure: from values to pixels, and where the ticks are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from service.charts.drawing import number

TICKS: Final = 6
"""Ticks that a linear axis has, about."""

MOST_TICKS: Final = 9
"""Ticks at most: of more every second one is written, or third."""

TINY: Final = 1e-9
"""How far beyond an end rounding may put a tick."""

AROUND: Final = 0.04
"""Share of the width that is left free at either end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis.

    Args:
        title: What it shows, HTML as Plotly reads it.
        log: Whether it is logarithmic.
        categories: Names along it; empty where it has numbers.
        low: Where it begins, in log10 where it is logarithmic.
        high: Where it ends.
        backwards: Whether it runs the other way.
        marks: Where it is labelled; empty for a choice of its own.
    """

    title: str
    log: bool
    categories: tuple[str, ...]
    low: float
    high: float
    backwards: bool
    marks: tuple[float, ...]

    def share(self, value: Any) -> float | None:
        """Say how far along a value lies, from 0 to 1; None if it is nowhere."""
        at = self._place(value)
        if at is None:
            return None
        part = (at - self.low) / (self.high - self.low)
        return 1.0 - part if self.backwards else part

    def ticks(self) -> list[tuple[float, str]]:
        """Shares and texts of the ticks."""
        if self.categories:
            found: list[Any] = list(self.categories)
        else:
            found = list(self.marks) or self._regular()
        every = math.ceil(len(found) / MOST_TICKS) if not self.categories else 1
        placed = [(self.share(value), value) for value in found[::every]]
        return [
            (share, value if isinstance(value, str) else number(value))
            for share, value in placed
            if share is not None and -TINY <= share <= 1.0 + TINY
        ]

    def _place(self, value: Any) -> float | None:
        if self.categories:
            return float(self.categories.index(value)) if value in self.categories else None
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        if not self.log:
            return float(value)
        return math.log10(value) if value > 0 else None

    def _regular(self) -> list[float]:
        if self.log:
            return _decades(self.low, self.high)
        step = _step(self.high - self.low)
        first = math.ceil(self.low / step)
        return [index * step for index in range(first, math.floor(self.high / step) + 1)]


def make_axis(described: Mapping[str, Any], values: Iterable[Any]) -> Axis:
    """Read an axis of Plotly, and let it hold all values.

    Args:
        described: Of Plotly's layout.
        values: All that is to be placed on it.
    """
    found = [value for value in values if value is not None]
    title = str(described.get("title", {}).get("text", ""))
    backwards = described.get("autorange") == "reversed"
    if described.get("type") == "category":
        given: Sequence[str] = described.get("categoryarray") or list(
            dict.fromkeys(map(str, found))
        )
        return Axis(
            title=title,
            log=False,
            categories=tuple(given),
            low=-0.5,
            high=max(1, len(given)) - 0.5,
            backwards=backwards,
            marks=(),
        )
    log = described.get("type") == "log"
    low, high = _ends(found, log=log, from_zero=described.get("rangemode") == "tozero")
    return Axis(
        title=title,
        log=log,
        categories=(),
        low=low,
        high=high,
        backwards=backwards,
        marks=tuple(described.get("tickvals", ())),
    )


def _ends(found: Sequence[Any], *, log: bool, from_zero: bool) -> tuple[float, float]:
    numbers = [v for v in found if isinstance(v, int | float) and math.isfinite(v)]
    if log:
        numbers = [math.log10(value) for value in numbers if value > 0]
    if not numbers:
        return 0.0, 1.0
    low, high = min(numbers), max(numbers)
    if from_zero and not log:
        low = min(0.0, low)
    width = high - low or abs(high) or 1.0
    return low - AROUND * width, high + AROUND * width


def _step(width: float) -> float:
    """A round step that gives about `TICKS` ticks: 1, 2 or 5 times a power of ten."""
    rough = width / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next((power * times for times in (1.0, 2.0, 5.0) if power * times >= rough), 10 * power)


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 times them where there are few."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    few = high - low < 2.5  # noqa: PLR2004 - decades
    return [10.0**power * times for power in powers for times in ((1, 2, 5) if few else (1,))]
