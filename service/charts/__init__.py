"""Charts: pure functions from evidence to what Plotly draws."""

from service.charts.chart import Cell, Chart, ChartTable
from service.charts.figures import showing
from service.charts.registry import charts_of

__all__ = ["Cell", "Chart", "ChartTable", "charts_of", "showing"]
