"""How runs are marked by the way they ended, in every chart alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from service.charts.palette import BLUE, GREEN, GREY, ORANGE, RED


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a run is drawn.

    Args:
        state: Of the run.
        colour: Of its mark and line.
        mark: Symbol of Plotly.
        dash: Of its line.
        says: What that means, for the legend.
    """

    state: str
    colour: str
    mark: str
    dash: str
    says: str


LOOKS: Final = (
    Look(state="complete", colour=BLUE, mark="circle", dash="solid", says="complete"),
    Look(
        state="censored",
        colour=ORANGE,
        mark="triangle-up-open",
        dash="dash",
        says="censored: stopped, takes longer",
    ),
    Look(state="diverged", colour=RED, mark="x", dash="dot", says="diverged"),
    Look(state="infeasible", colour=GREY, mark="square-open", dash="dot", says="infeasible"),
    Look(state="running", colour=GREEN, mark="star", dash="solid", says="running"),
)
"""One look for each state of a run."""
