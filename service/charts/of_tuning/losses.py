"""Loss curves of the runs against calibrated seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, counted, finite, horizontal, layout, number, seconds
from service.charts.of_tuning.run_states import LOOKS, Look
from service.evidence import RunEvidence, TuningEvidence

MOST_POINTS: Final = 6000
"""Points that are drawn at most: a browser slows down before a reader sees more."""

LEAST_POINTS: Final = 6
"""Points that a curve keeps at least."""

Point = tuple[float, float | None]


def losses(evidence: TuningEvidence) -> Chart | None:
    """Draw how the metric came down, or went up, in each run.

    Runs that ended alike share one trace with gaps between the curves, so that a thousand of
    them are drawn as quickly as one.

    Args:
        evidence: Of a tuning job.

    Returns:
        The chart; None before the first run that was evaluated.
    """
    runs = [run for run in evidence.runs if run.curve and run.step_seconds]
    if not runs:
        return None
    each = max(LEAST_POINTS, MOST_POINTS // len(runs))
    named = evidence.metric.replace("_", " ")
    log = evidence.metric != "accuracy"
    target = evidence.target
    drawn = target is not None and (not log or target > 0)
    more = horizontal(target, f"target {number(target)}", log=log) if drawn and target else {}
    traces = [_trace(look, [r for r in runs if r.state == look.state], each) for look in LOOKS]
    return Chart(
        name="loss-curves",
        title=f"{named.capitalize()} of the runs against calibrated seconds",
        summary=_summary(evidence, runs, named),
        data=[trace for trace in traces if trace["x"]],
        layout=layout(
            axis("calibrated seconds of training"), axis(named, log=log), showlegend=True, **more
        ),
        table=ChartTable(
            headers=(
                "run",
                "stage",
                "global batch size",
                "learning rate",
                "state",
                "evaluations",
                f"first {named}",
                f"best {named}",
                f"last {named}",
                "calibrated seconds to the last",
            ),
            rows=tuple(_row(run, evidence.metric) for run in runs),
        ),
    )


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Keep the first, the last and evenly spaced points between.

    Args:
        points: A curve.
        most: Points that are kept, at least 2.
    """
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(index * last / (most - 1))] for index in range(most)]


def _trace(look: Look, runs: list[RunEvidence], most: int) -> dict[str, Any]:
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str | None] = []
    for run in runs:
        curve = thinned(_curve(run), most)
        xs += [*(x for x, _ in curve), None]
        ys += [*(y for _, y in curve), None]
        told = f"run {run.number}: batch {run.global_batch_size}, rate {number(run.learning_rate)}"
        texts += [*[told] * len(curve), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": look.says,
        "x": xs,
        "y": ys,
        "text": texts,
        "connectgaps": False,
        "hovertemplate": "%{text}<br>%{x:.3g} s: %{y:.4g}<extra></extra>",
        "line": {"color": look.colour, "dash": look.dash, "width": 1.5},
    }


def _curve(run: RunEvidence) -> list[Point]:
    step = run.step_seconds or 0.0
    return [(point.step * step, finite(point.value)) for point in run.curve]


def _row(run: RunEvidence, metric: str) -> tuple[str | int | float | None, ...]:
    values = [value for point in run.curve if (value := finite(point.value)) is not None]
    best = max if metric == "accuracy" else min
    return (
        run.number,
        run.stage,
        run.global_batch_size,
        run.learning_rate,
        run.state,
        len(run.curve),
        values[0] if values else None,
        best(values) if values else None,
        finite(run.curve[-1].value),
        run.curve[-1].step * (run.step_seconds or 0.0),
    )


def _summary(evidence: TuningEvidence, runs: list[RunEvidence], named: str) -> str:
    said = f"{counted(len(runs), 'run')} with {sum(len(run.curve) for run in runs)} evaluations"
    target = evidence.target
    done = [run for run in runs if run.state == "complete" and run.calibrated_seconds is not None]
    if target is None:
        known = [run.metric for run in done if run.metric is not None]
        best = max if evidence.metric == "accuracy" else min
        return f"{said}; the best {named} at an end is {number(best(known) if known else None)}."
    reached = [run for run in done if _is_at(run, target, evidence.metric)]
    said += f"; {len(reached)} reached the {named} of {number(target)}"
    if reached:
        fastest = min(reached, key=lambda run: run.calibrated_seconds or 0.0)
        said += f", the fastest after {seconds(fastest.calibrated_seconds)}"
    return said + "."


def _is_at(run: RunEvidence, target: float, metric: str) -> bool:
    """Whether a run crossed the target; one that had none is complete without that."""
    if run.metric is None:
        return False
    return run.metric >= target if metric == "accuracy" else run.metric <= target
