"""The heat map of learning rate and batch size."""

from __future__ import annotations

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, layout, number
from service.charts.palette import SCALE
from service.evidence import StudyEvidence
from tuner.study_findings import HeatCell


def heat(evidence: StudyEvidence) -> tuple[Chart, ...]:
    """Draw the minimum validation loss of every cell, with its number in it.

    Args:
        evidence: Of a study.
    """
    cells = evidence.findings.heat_map if evidence.findings else ()
    known = [cell for cell in cells if cell.minimum_validation_loss is not None]
    if not known:
        return ()
    batches = sorted({cell.batch_size for cell in cells})
    rates = sorted({cell.learning_rate for cell in cells})
    of = {(cell.batch_size, cell.learning_rate): cell.minimum_validation_loss for cell in cells}
    losses = [[of.get((batch, rate)) for batch in batches] for rate in rates]
    return (
        Chart(
            name="heat-map",
            title="Minimum validation loss by learning rate and batch size",
            summary=_summary(known),
            data=[
                {
                    "type": "heatmap",
                    "name": "minimum validation loss",
                    # Categories: rates and batches are no regular grid in numbers.
                    "x": [str(batch) for batch in batches],
                    "y": [number(rate) for rate in rates],
                    "z": losses,
                    "text": [[number(loss) for loss in row] for row in losses],
                    "texttemplate": "%{text}",
                    "colorscale": [list(stop) for stop in SCALE],
                    "colorbar": {"title": {"text": "loss"}, "thickness": 12},
                    "hovertemplate": "batch %{x}, rate %{y}: %{z:.4g}<extra></extra>",
                }
            ],
            layout=layout(
                axis("batch size") | {"type": "category"},
                axis("learning rate") | {"type": "category"},
                showlegend=False,
            ),
            table=ChartTable(
                headers=(
                    "batch size",
                    "learning rate",
                    "minimum validation loss",
                    "calibrated seconds to it",
                    "runs that converged",
                    "runs",
                ),
                rows=tuple(
                    (
                        cell.batch_size,
                        cell.learning_rate,
                        cell.minimum_validation_loss,
                        cell.seconds_to_minimum,
                        cell.runs_converged,
                        cell.runs,
                    )
                    for cell in cells
                ),
            ),
        ),
    )


def _summary(known: list[HeatCell]) -> str:
    best = min(known, key=lambda cell: cell.minimum_validation_loss or 0.0)
    worst = max(known, key=lambda cell: cell.minimum_validation_loss or 0.0)
    return (
        f"The lowest validation loss, {number(best.minimum_validation_loss)}, is at a batch of "
        f"{best.batch_size} with a rate of {number(best.learning_rate)}; the highest of "
        f"{len(known)} cells, {number(worst.minimum_validation_loss)}, at {worst.batch_size} with "
        f"{number(worst.learning_rate)}."
    )
