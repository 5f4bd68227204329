"""Filter-normalised landscapes round minimisers, in one and two dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, counted, layout, number
from service.charts.palette import DASHES, SCALE, ordered
from service.evidence import StudyEvidence
from tuner.study_findings import LandscapeFound


def landscapes(evidence: StudyEvidence) -> tuple[Chart, ...]:
    """Draw all one-dimensional cuts in one figure, and each two-dimensional one in its own.

    Args:
        evidence: Of a study.
    """
    found = evidence.findings.landscapes if evidence.findings else ()
    cuts = [one for one in found if one.dimensions == 1 and _known(one)]
    planes = [one for one in found if one.dimensions != 1 and _known(one)]
    return (*([_cuts(cuts)] if cuts else []), *(_plane(one) for one in planes))


def _cuts(cuts: list[LandscapeFound]) -> Chart:
    colours = ordered(len(cuts))
    return Chart(
        name="landscape-1d",
        title="Training loss along one filter-normalised direction",
        summary=f"{counted(len(cuts), 'minimiser')}, cut along the same direction: "
        + "; ".join(f"{_called(one)}: the loss rises by {number(_rise(one))}" for one in cuts)
        + ".",
        data=[
            {
                "type": "scatter",
                "mode": "lines",
                "name": _called(one),
                "x": list(one.axis),
                "y": list(one.losses[0]),
                "line": {"color": colour, "dash": DASHES[at % len(DASHES)], "width": 1.8},
            }
            for at, (one, colour) in enumerate(zip(cuts, colours, strict=True))
        ],
        layout=layout(axis("distance in units of the direction"), axis("training loss", log=True)),
        table=ChartTable(
            headers=("batch size", "learning rate", "seed", "coordinate", "training loss"),
            rows=tuple(
                (one.batch_size, one.learning_rate, one.seed, at, loss)
                for one in cuts
                for at, loss in zip(one.axis, one.losses[0], strict=True)
            ),
        ),
    )


def _plane(one: LandscapeFound) -> Chart:
    return Chart(
        name=f"landscape-2d-{one.batch_size}-{one.seed}",
        title=f"Training loss round the minimiser of batch {one.batch_size}",
        summary=f"{len(one.axis)} by {len(one.axis)} points round the minimiser of "
        f"{_called(one)}: from {number(min(_known(one)))} up to {number(max(_known(one)))}.",
        data=[_contour(one)],
        layout=layout(axis("first direction"), axis("second direction"), showlegend=False),
        table=ChartTable(
            headers=("second \\ first direction", *(number(at) for at in one.axis)),
            rows=tuple((at, *row) for at, row in zip(one.axis, one.losses, strict=True)),
        ),
    )


def _contour(one: LandscapeFound) -> dict[str, Any]:
    return {
        "type": "contour",
        "name": "training loss",
        "x": list(one.axis),
        "y": list(one.axis),
        "z": [list(row) for row in one.losses],
        "colorscale": [list(stop) for stop in SCALE],
        "contours": {"coloring": "heatmap"},
        "line": {"width": 0.8},
        "colorbar": {"title": {"text": "loss"}, "thickness": 12},
        "hovertemplate": "%{x:.3g}, %{y:.3g}: %{z:.4g}<extra></extra>",
    }


def _known(one: LandscapeFound) -> list[float]:
    return [loss for loss in _all(one) if loss is not None]


def _all(one: LandscapeFound) -> Iterator[float | None]:
    for row in one.losses:
        yield from row


def _rise(one: LandscapeFound) -> float:
    return max(_known(one)) - min(_known(one))


def _called(one: LandscapeFound) -> str:
    return f"B {one.batch_size}, rate {number(one.learning_rate)}, seed {one.seed}"
