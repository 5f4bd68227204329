"""Variance of gradients against the batch, with the exponent that fits it."""

from __future__ import annotations

import math
from typing import Any, Final

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, layout, number
from service.charts.palette import BLUE, ORANGE
from service.evidence import StudyEvidence
from tuner.study_findings import GradientNoise

PLACES: Final = {"initial_weights": "at the initial weights", "minimum": "at the minimum"}


def gradients(evidence: StudyEvidence) -> tuple[Chart, ...]:
    """Draw the variance of a batch's mean gradient where it was measured.

    Args:
        evidence: Of a study.
    """
    measured = evidence.findings.gradients if evidence.findings else ()
    found = [one for one in measured if one.points]
    if not found:
        return ()
    told = "; ".join(
        f"{PLACES[one.at]} it goes as B to the power {_exponent(one)}" for one in found
    )
    return (
        Chart(
            name="gradient-variance",
            title="Variance of gradients against the batch size",
            summary=f"The variance of a batch's mean gradient: {told}; "
            "independent samples give -1.",
            data=[trace for at, one in enumerate(found) for trace in _traces(one, at)],
            layout=layout(
                axis("batch size", log=True, ticks=[p.batch_size for p in found[0].points]),
                axis("variance of the gradient", log=True),
            ),
            table=ChartTable(
                headers=(
                    "where",
                    "batch size",
                    "variance",
                    "mean norm",
                    "mean cosine between two gradients",
                ),
                rows=tuple(
                    (PLACES[one.at], p.batch_size, p.variance, p.mean_norm, p.cosine)
                    for one in found
                    for p in one.points
                ),
            ),
        ),
    )


def _traces(one: GradientNoise, at: int) -> list[dict[str, Any]]:
    colour, mark = ((BLUE, "circle"), (ORANGE, "diamond"))[at % 2]
    batches = [point.batch_size for point in one.points]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": PLACES[one.at],
            "x": batches,
            "y": [point.variance for point in one.points],
            "marker": {"color": colour, "symbol": mark, "size": 9},
        }
    ]
    logs = [math.log(p.variance) for p in one.points if p.variance > 0.0]
    if one.exponent is not None and len(logs) == len(batches):
        slope = one.exponent.mean
        middle = sum(logs) / len(logs)
        centre = sum(math.log(batch) for batch in batches) / len(batches)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"B to the power {number(slope)}",
                "x": batches,
                "y": [math.exp(middle + slope * (math.log(b) - centre)) for b in batches],
                "line": {"color": colour, "dash": "dash"},
            }
        )
    return traces


def _exponent(one: GradientNoise) -> str:
    if one.exponent is None:
        return "that could not be fitted"
    around = ""
    if one.exponent.low is not None and one.exponent.high is not None:
        around = f" ({number(one.exponent.low)} to {number(one.exponent.high)})"
    return f"{number(one.exponent.mean)}{around}"
