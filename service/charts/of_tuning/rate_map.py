"""The map of rates and batches: trials as they ended, over what the posterior expects."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, layout, number, seconds
from service.charts.of_tuning.run_states import LOOKS, Look
from service.charts.palette import GREEN, SCALE
from service.evidence import RunEvidence, TuningEvidence
from tuner.surface import Surface


def rate_map(evidence: TuningEvidence) -> Chart | None:
    """Draw every trial of race and search where it lies, with the posterior as contours.

    Args:
        evidence: Of a tuning job.

    Returns:
        The chart; None before the first trial.
    """
    runs = [run for run in evidence.runs if run.stage != "confirm"] or list(evidence.runs)
    if not runs:
        return None
    batches = sorted({run.global_batch_size for run in runs})
    surface = evidence.surface
    traces = [_trace(look, [run for run in runs if run.state == look.state]) for look in LOOKS]
    return Chart(
        name="rate-map",
        title="Learning rate and batch: trials, and what they lead one to expect",
        summary=_summary(evidence, runs),
        data=[
            *([] if surface is None else [_contours(surface)]),
            *(trace for trace in traces if trace["x"]),
            *_recommended(evidence),
        ],
        layout=layout(
            axis("global batch size", log=True, ticks=batches),
            axis("learning rate", log=True),
        ),
        table=ChartTable(
            headers=(
                "run",
                "stage",
                "global batch size",
                "learning rate",
                "state",
                "steps",
                "calibrated seconds",
                "expected by the posterior",
                "standard deviation in ln",
            ),
            rows=tuple(_row(run, surface) for run in runs),
        ),
    )


def _contours(surface: Surface) -> dict[str, Any]:
    return {
        "type": "contour",
        "name": "posterior",
        "x": list(surface.batch_sizes),
        "y": list(surface.learning_rates),
        # Rows of a contour run along y, those of a surface are batches.
        "z": [list(column) for column in zip(*surface.means, strict=True)],
        "colorscale": [list(stop) for stop in SCALE],
        "reversescale": True,
        "opacity": 0.75,
        "contours": {"coloring": "heatmap", "showlabels": False},
        "line": {"width": 0.5},
        "colorbar": {
            "title": {"text": "ln seconds" if surface.goal == "time" else "ln metric"},
            "thickness": 12,
        },
        "hovertemplate": "batch %{x}, rate %{y:.3g}: %{z:.3g}<extra></extra>",
    }


def _trace(look: Look, runs: list[RunEvidence]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": look.says,
        "x": [run.global_batch_size for run in runs],
        "y": [run.learning_rate for run in runs],
        "text": [f"run {run.number}, {run.stage}: {_worth(run)}" for run in runs],
        "hovertemplate": "%{text}<br>batch %{x}, rate %{y:.3g}<extra></extra>",
        "marker": {
            "color": look.colour,
            "symbol": look.mark,
            "size": 10,
            "line": {"width": 1.5, "color": "#ffffff" if look.state == "complete" else look.colour},
        },
    }


def _recommended(evidence: TuningEvidence) -> list[dict[str, Any]]:
    answer = evidence.answer
    if answer is None or answer.learning_rate is None:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": "recommended",
            "x": [answer.global_batch_size],
            "y": [answer.learning_rate],
            "text": ["recommended"],
            "textposition": "top center",
            "marker": {
                "color": GREEN,  # an open mark is drawn in this colour, not in that of its line
                "symbol": "circle-open",
                "size": 20,
                "line": {"width": 3},
            },
        }
    ]


def _worth(run: RunEvidence) -> str:
    more = "more than " if run.state == "censored" else ""
    return f"{more}{seconds(run.calibrated_seconds)}"


def _row(run: RunEvidence, surface: Surface | None) -> tuple[str | int | float | None, ...]:
    mean, deviation = _expected(run, surface)
    return (
        run.number,
        run.stage,
        run.global_batch_size,
        run.learning_rate,
        run.state,
        run.steps,
        run.calibrated_seconds,
        None if mean is None else math.exp(mean),
        deviation,
    )


def _expected(run: RunEvidence, surface: Surface | None) -> tuple[float | None, float | None]:
    """What the posterior expects at the nearest rate of its grid, if it has the batch."""
    if surface is None or run.global_batch_size not in surface.batch_sizes:
        return None, None
    row = surface.batch_sizes.index(run.global_batch_size)
    gaps = [abs(math.log(rate / run.learning_rate)) for rate in surface.learning_rates]
    column = gaps.index(min(gaps))
    return surface.means[row][column], surface.deviations[row][column]


def _summary(evidence: TuningEvidence, runs: list[RunEvidence]) -> str:
    counts = Counter(run.state for run in runs)
    told = ", ".join(f"{counts[look.state]} {look.state}" for look in LOOKS if counts[look.state])
    said = f"{len(runs)} runs: {told}"
    done = [run for run in runs if run.state == "complete" and run.calibrated_seconds is not None]
    if done:
        best = min(done, key=lambda run: run.calibrated_seconds or 0.0)
        said += (
            f"; the fastest complete one took {seconds(best.calibrated_seconds)} at a batch of "
            f"{best.global_batch_size} and a learning rate of {number(best.learning_rate)}"
        )
    answer = evidence.answer
    if answer is not None and answer.learning_rate is not None:
        said += (
            f"; recommended is a batch of {answer.global_batch_size} at "
            f"{number(answer.learning_rate)}"
        )
    return said + "."
