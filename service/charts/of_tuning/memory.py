"""Memory against the micro-batch size, with the limit."""

from __future__ import annotations

from typing import Any

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, counted, horizontal, layout, size
from service.charts.palette import BLUE, GREY, RED
from service.evidence import MemoryEvidence, TuningEvidence


def memory(evidence: TuningEvidence) -> Chart | None:
    """Draw predicted and measured peaks.

    Args:
        evidence: Of a tuning job.

    Returns:
        The chart; None before any size was traced or run.
    """
    points = evidence.memory
    if not points:
        return None
    limit = evidence.memory_limit_bytes
    more = horizontal(float(limit), f"limit {size(limit)}", log=True) if limit else {}
    ticks = [point.micro_batch_size for point in points]
    return Chart(
        name="memory",
        title="Memory against the micro-batch size",
        summary=_summary(points, limit),
        data=_traces(points, limit),
        layout=layout(
            axis("micro-batch size (samples)", log=True, ticks=ticks),
            axis("peak of live bytes", log=True),
            **more,
        ),
        table=ChartTable(
            headers=("micro-batch size", "predicted bytes", "measured bytes", "ran out of memory"),
            rows=tuple(
                (
                    one.micro_batch_size,
                    one.predicted_bytes,
                    one.measured_bytes,
                    {None: "not run", True: "yes", False: "no"}[one.out_of_memory],
                )
                for one in points
            ),
        ),
    )


def _traces(points: tuple[MemoryEvidence, ...], limit: int | None) -> list[dict[str, Any]]:
    predicted = [one for one in points if one.predicted_bytes]
    measured = [one for one in points if one.measured_bytes]
    failed = [one for one in points if one.out_of_memory]
    traces: list[dict[str, Any]] = []
    if predicted:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "predicted",
                "x": [one.micro_batch_size for one in predicted],
                "y": [one.predicted_bytes for one in predicted],
                "line": {"color": GREY, "dash": "dot"},
                "marker": {"color": GREY, "symbol": "circle-open", "size": 8},
            }
        )
    if measured:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "measured",
                "x": [one.micro_batch_size for one in measured],
                "y": [one.measured_bytes for one in measured],
                "line": {"color": BLUE},
                "marker": {"color": BLUE, "symbol": "square", "size": 9},
            }
        )
    if failed and limit:
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "ran out of memory",
                "x": [one.micro_batch_size for one in failed],
                "y": [limit] * len(failed),
                "marker": {"color": RED, "symbol": "x", "size": 11},
            }
        )
    return traces


def _summary(points: tuple[MemoryEvidence, ...], limit: int | None) -> str:
    measured = [one for one in points if one.measured_bytes]
    failed = [one for one in points if one.out_of_memory]
    said = f"{counted(len(points), 'micro-batch size')} looked at"
    if measured:
        largest = measured[-1]
        said = (
            f"The largest micro-batch that was run and fitted has {largest.micro_batch_size} "
            f"samples and peaks at {size(largest.measured_bytes)}"
        )
    if limit:
        said += f", of {size(limit)} that a run may use"
    if failed:
        said += f"; {counted(len(failed), 'size')} ran out of memory"
    return said + "."
