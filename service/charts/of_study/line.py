"""The straight line between the small-batch and the large-batch minimiser."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, counted, finite, layout, number
from service.charts.of_study.arms import gapped, mean_of
from service.charts.palette import BLUE, ORANGE
from service.evidence import StudyEvidence
from tuner.study_findings import LineSample, MinimiserLine


def between(evidence: StudyEvidence) -> tuple[Chart, ...]:
    """Draw both losses along the lines, all seeds of a pair of batches in one figure.

    Args:
        evidence: Of a study.
    """
    found = evidence.findings.lines if evidence.findings else ()
    pairs = groupby(sorted(found, key=_pair), key=_pair)
    charts = [_chart(pair, [one for one in same if one.points]) for pair, same in pairs]
    return tuple(chart for chart in charts if chart is not None)


def _pair(one: MinimiserLine) -> tuple[int, int]:
    return one.small_batch_size, one.large_batch_size


def _chart(pair: tuple[int, int], lines: list[MinimiserLine]) -> Chart | None:
    if not lines:
        return None
    small, large = pair
    anew = any(one.statistics_recomputed for one in lines)
    note = "; running statistics were taken anew at every point" if anew else ""
    return Chart(
        name=f"line-{small}-{large}",
        title=f"The line between the minimisers of batches {small} and {large}",
        summary=f"Along the line of {counted(len(lines), 'seed')} from the minimiser of batch "
        f"{small} (alpha 0) to that of {large} (alpha 1) the mean training loss is "
        f"{_at(lines, 0.0)} at the first, {_at(lines, 0.5)} half-way and {_at(lines, 1.0)} at "
        f"the second{note}.",
        data=[
            _trace(lines, "validation loss", ORANGE, "dash"),
            _trace(lines, "training loss", BLUE, "solid"),
        ],
        layout=layout(axis(f"alpha (0: batch {small}, 1: batch {large})"), axis("loss", log=True)),
        table=ChartTable(
            headers=("seed", "alpha", "training loss", "validation loss"),
            rows=tuple(
                (one.seed, point.alpha, point.train_loss, point.validation_loss)
                for one in lines
                for point in one.points
            ),
        ),
    )


def _trace(lines: list[MinimiserLine], name: str, colour: str, dash: str) -> dict[str, Any]:
    is_training = name == "training loss"
    xs, ys = gapped([(p.alpha, _loss(p, is_training=is_training)) for p in o.points] for o in lines)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": xs,
        "y": ys,
        "connectgaps": False,
        "line": {"color": colour, "dash": dash, "width": 1.8},
    }


def _loss(point: LineSample, *, is_training: bool) -> float | None:
    return finite(point.train_loss if is_training else point.validation_loss)


def _at(lines: list[MinimiserLine], alpha: float) -> str:
    nearest = [min(one.points, key=lambda point: abs(point.alpha - alpha)) for one in lines]
    return number(mean_of(point.train_loss for point in nearest))
