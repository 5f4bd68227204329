"""From the figure that a claim names to the chart that shows it."""

from __future__ import annotations

from collections.abc import Sequence

from service.charts.chart import Chart


def showing(figure: str, charts: Sequence[Chart]) -> Chart | None:
    """Find the chart that shows a claim.

    Args:
        figure: As the claim names it: a chart, or the beginning of the names of several.
        charts: That were drawn.

    Returns:
        The chart of that name, or else the first whose name begins so; None if there is none.
    """
    for chart in charts:
        if chart.name == figure:
            return chart
    return next((chart for chart in charts if chart.name.startswith(f"{figure}-")), None)
