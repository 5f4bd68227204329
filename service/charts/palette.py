"""Colours that tell apart for the colour-blind and stand out on white and on near black.

Every colour keeps a contrast of 3 to 1 (WCAG 2.2, criterion 1.4.11) against both backgrounds of
the pages. None of them carries a meaning alone: marks, dashes and labels say the same.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

BLUE: Final = "#307bd7"
ORANGE: Final = "#de7a00"
GREEN: Final = "#10a87e"
GREY: Final = "#6b6288"
RED: Final = "#a34b23"

SERIES: Final = (BLUE, ORANGE, GREEN, GREY, RED)
"""For things that have no order. Any two are 30 units of CIELAB apart, also to an eye without the
cones for red or for green."""

DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")

SCALE: Final = (
    (0.0, "#21478f"),
    (0.25, "#3f7fb5"),
    (0.5, "#77a6a3"),
    (0.75, "#c7b663"),
    (1.0, "#f2d64b"),
)
"""From low to high: lightness rises all the way, from blue to yellow, as in cividis."""


def ordered(count: int) -> tuple[str, ...]:
    """Colours for things that have an order, such as batch sizes: blue by grey to orange.

    Args:
        count: How many.

    Returns:
        So many colours.
    """
    if count <= 1:
        return (BLUE,) * count
    return tuple(_between(index / (count - 1)) for index in range(count))


def shade(share: float) -> str:
    """Return the colour of a value on `SCALE`.

    Args:
        share: From 0 for the lowest to 1 for the highest.
    """
    share = min(1.0, max(0.0, share))
    for (low, first), (high, second) in pairwise(SCALE):
        if share <= high:
            return _mixed(_rgb(first), _rgb(second), (share - low) / (high - low))
    return SCALE[-1][1]


def _between(share: float) -> str:
    first, middle, last = (_rgb(colour) for colour in (BLUE, GREY, ORANGE))
    half = 0.5
    if share <= half:
        return _mixed(first, middle, share / half)
    return _mixed(middle, last, (share - half) / half)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _mixed(first: tuple[int, int, int], second: tuple[int, int, int], share: float) -> str:
    mixed = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)
