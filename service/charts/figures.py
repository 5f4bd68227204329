"""From the figure that a claim names to the chart that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from service.charts.chart import Chart

SHOWN_BY: Final[dict[str, tuple[str, ...]]] = {
    "summary": ("minimum-loss", "epochs-to-minimum", "seconds-to-minimum", "seconds-per-epoch"),
    "curves": ("curves-epochs", "curves-steps", "curves-seconds"),
    "distance": ("distance", "distance-per-epoch"),
    "distance_by_layer": ("layers",),
    "norms": ("update-norm", "gradient-norm"),
    "gradient_noise": ("gradient-variance",),
    "sharpness": ("keskar", "keskar-manifold", "asam", "hessian-top-eigenvalue"),
    "line": ("line-",),
    "rates": ("heat-map",),
}
"""Names of charts, or what they begin with, for each name that a claim may give."""


def showing(figure: str, charts: Sequence[Chart]) -> Chart | None:
    """Find the chart that shows a claim.

    Args:
        figure: As the claim names it.
        charts: That were drawn.

    Returns:
        The first that was drawn of those that show it; None if there is none.
    """
    for name in SHOWN_BY.get(figure, (figure,)):
        for chart in charts:
            if chart.name == name or (name.endswith("-") and chart.name.startswith(name)):
                return chart
    return None
