"""Time against sharpness: what is better in one is worse in the other along the Pareto set."""

from __future__ import annotations

from typing import Any

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, layout, number
from service.charts.palette import BLUE, GREEN
from service.evidence import TuningEvidence
from tuner.recommendation import Candidate, Recommendation


def pareto(evidence: TuningEvidence) -> Chart | None:
    """Draw confirmed configurations by time, or metric, and ASAM sharpness.

    Args:
        evidence: Of a tuning job.

    Returns:
        The chart; None where no sharpness was measured.
    """
    answer = evidence.answer
    if answer is None:
        return None
    is_time = answer.objective == "time_to_target"
    points = [
        (one, worth, one.sharpness.asam)
        for one in answer.pareto
        if (worth := _worth(one, is_time=is_time)) is not None
        and one.sharpness is not None
        and one.sharpness.asam is not None
    ]
    if not points:
        return None
    what = "seconds to the target" if is_time else answer.metric.replace("_", " ")
    points.sort(key=lambda point: point[1])
    flattest = min(points, key=lambda point: point[2])
    return Chart(
        name="pareto",
        title="Time and sharpness of the Pareto set",
        summary=f"{len(points)} configurations that no other beats in both: from "
        f"{number(points[0][1])} {what} with an ASAM sharpness of {number(points[0][2])} to "
        f"{number(flattest[1])} with {number(flattest[2])}.",
        data=[_trace(points, answer)],
        layout=layout(axis(what), axis("ASAM sharpness (rise of the loss)"), showlegend=False),
        table=ChartTable(
            headers=(
                "global batch size",
                "learning rate",
                what,
                "ASAM sharpness",
                "Keskar's phi (%)",
                "top eigenvalue of the Hessian",
            ),
            rows=tuple(_row(*point) for point in points),
        ),
    )


def _worth(one: Candidate, *, is_time: bool) -> float | None:
    if is_time:
        return one.time_to_target_seconds.estimate if one.time_to_target_seconds else None
    return one.final_metric


def _trace(points: list[tuple[Candidate, float, float]], answer: Recommendation) -> dict[str, Any]:
    chosen = [
        one.global_batch_size == answer.global_batch_size
        and one.learning_rate == answer.learning_rate
        for one, _, _ in points
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers+text",
        "name": "Pareto set",
        "x": [worth for _, worth, _ in points],
        "y": [asam for _, _, asam in points],
        "text": [f"B {one.global_batch_size}, {number(one.learning_rate)}" for one, _, _ in points],
        "textposition": "top center",
        "line": {"color": BLUE, "dash": "dot"},
        "marker": {
            "size": 11,
            "color": [GREEN if this else BLUE for this in chosen],
            "symbol": ["star" if this else "circle" for this in chosen],
        },
    }


def _row(one: Candidate, worth: float, asam: float) -> tuple[str | int | float | None, ...]:
    sharpness = one.sharpness
    return (
        one.global_batch_size,
        one.learning_rate,
        worth,
        asam,
        sharpness.keskar if sharpness else None,
        sharpness.hessian_top_eigenvalue if sharpness else None,
    )
