"""Seconds per sample against the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.charts.chart import Cell, Chart, ChartTable
from service.charts.drawing import axis, layout, number
from service.charts.palette import BLUE, ORANGE
from service.evidence import TuningEvidence


def throughput(evidence: TuningEvidence) -> Chart | None:
    """Draw what a sample costs, in one pass a step and as the trials were run.

    Args:
        evidence: Of a tuning job.

    Returns:
        The chart; None before any size was timed.
    """
    timed = [
        (one.micro_batch_size, (one.pass_seconds + one.optimizer_seconds) / one.micro_batch_size)
        for one in evidence.timings
    ]
    if not timed:
        return None
    plans = {
        run.global_batch_size: run.step_seconds / run.global_batch_size
        for run in evidence.runs
        if run.step_seconds is not None and run.gradient_accumulation_steps > 1
    }
    accumulated = sorted(plans.items())
    fastest = min([*timed, *accumulated], key=lambda point: point[1])
    slowest = max([*timed, *accumulated], key=lambda point: point[1])
    spreads = {one.micro_batch_size: one.spread for one in evidence.timings}
    rows: list[tuple[Cell, ...]] = [
        ("one pass", batch, each, 1.0 / each, spreads[batch]) for batch, each in timed
    ]
    rows += [("accumulated", batch, each, 1.0 / each, None) for batch, each in accumulated]
    return Chart(
        name="throughput",
        title="Seconds per sample against the batch",
        summary=f"A sample costs least at a batch of {fastest[0]}: {number(fastest[1] * 1e3)} ms, "
        f"which is {number(1.0 / fastest[1])} samples per second; at {slowest[0]} it costs "
        f"{number(slowest[1] / fastest[1], 2)} times as much.",
        data=[
            _trace("one pass a step", timed, BLUE, "square", "solid"),
            *([_trace("accumulated", accumulated, ORANGE, "diamond", "dash")] * bool(accumulated)),
        ],
        layout=layout(
            axis("samples per step", log=True, ticks=sorted({b for b, _ in timed} | set(plans))),
            axis("seconds per sample", log=True),
        ),
        table=ChartTable(
            headers=(
                "step",
                "batch",
                "seconds per sample",
                "samples per second",
                "spread of the windows",
            ),
            rows=tuple(rows),
        ),
    )


def _trace(
    name: str, points: Sequence[tuple[int, float]], colour: str, mark: str, dash: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [batch for batch, _ in points],
        "y": [each for _, each in points],
        "line": {"color": colour, "dash": dash},
        "marker": {"color": colour, "symbol": mark, "size": 9},
    }
