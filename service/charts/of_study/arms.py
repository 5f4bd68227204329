"""Which arms are drawn, and how each batch looks in every chart alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.charts.drawing import number
from service.charts.palette import DASHES, MARKS, ordered
from tuner.study_findings import Arm, StudyFindings


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownArm:
    """An arm with its look.

    Args:
        arm: One batch at one rate.
        called: What it is called in legends.
        colour: Of its lines and marks.
        dash: Of its lines.
        mark: Of its marks.
    """

    arm: Arm
    called: str
    colour: str
    dash: str
    mark: str


def shown_arms(findings: StudyFindings) -> tuple[ShownArm, ...]:
    """Choose one arm of each batch, by ascending batch: that of its own best rate.

    The full batch by its own rule is an arm beside that of the same size by the optimizer.

    Args:
        findings: Of a study.
    """
    best: dict[tuple[int, str], Arm] = {}
    for arm in findings.arms:
        key = (arm.batch_size, arm.rule)
        if key not in best or _loss(arm) < _loss(best[key]):
            best[key] = arm
    arms = [best[key] for key in sorted(best)]
    colours = ordered(len(arms))
    return tuple(
        ShownArm(
            arm=arm,
            called=called(arm),
            colour=colour,
            dash=DASHES[index % len(DASHES)],
            mark=MARKS[index % len(MARKS)],
        )
        for index, (arm, colour) in enumerate(zip(arms, colours, strict=True))
    )


def called(arm: Arm) -> str:
    """Name an arm.

    Args:
        arm: One batch at one rate.
    """
    rule = ", Rprop" if arm.rule == "rprop" else ""
    return f"B {arm.batch_size}, rate {number(arm.learning_rate)}{rule}"


def gapped(
    curves: Iterable[list[tuple[float, float | None]]],
) -> tuple[list[float | None], list[float | None]]:
    """Put curves into one trace, with a gap after each.

    Args:
        curves: Points of each.

    Returns:
        Their horizontal and their vertical coordinates.
    """
    xs: list[float | None] = []
    ys: list[float | None] = []
    for curve in curves:
        xs += [*(x for x, _ in curve), None]
        ys += [*(y for _, y in curve), None]
    return xs, ys


def line(shown: ShownArm, name: str, **more: Any) -> dict[str, Any]:
    """Begin a trace of an arm.

    Args:
        shown: The arm.
        name: Of the trace.
        more: What else Plotly is to know.
    """
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "line": {"color": shown.colour, "dash": shown.dash, "width": 1.8},
        "connectgaps": False,
        **more,
    }


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of what is known; None where nothing is.

    Args:
        values: Some of them None or not finite.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None


def known(
    arms: Iterable[ShownArm], value: Callable[[Arm], float | None]
) -> list[tuple[ShownArm, float]]:
    """Keep the arms of which something is known.

    Args:
        arms: Shown arms.
        value: What is asked of each.
    """
    return [(shown, found) for shown in arms if (found := value(shown.arm)) is not None]


def _loss(arm: Arm) -> float:
    spread = arm.summary.minimum_validation_loss
    return math.inf if spread is None else spread.mean
