"""How far each layer moved, relative to where it began."""

from __future__ import annotations

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, counted, label, layout, number
from service.charts.of_study.arms import ShownArm, mean_of, shown_arms
from service.evidence import StudyEvidence


def layers(evidence: StudyEvidence) -> tuple[Chart, ...]:
    """Draw the distance of each parameter tensor at the minimum, one line a batch.

    Args:
        evidence: Of a study.
    """
    if evidence.findings is None:
        return ()
    found = [(shown, _distances(shown)) for shown in shown_arms(evidence.findings)]
    found = [(shown, distances) for shown, distances in found if distances]
    if not found:
        return ()
    names = list(found[0][1])
    first, last = found[0], found[-1]
    nearer = sum(_whole(last[1], name) < _whole(first[1], name) for name in names)
    return (
        Chart(
            name="layers",
            title="Distance from the initial weights, layer by layer",
            summary=f"Of {counted(len(names), 'parameter tensor')}, {nearer} ended closer to the "
            f"initial weights at a batch of {last[0].arm.batch_size} than at "
            f"{first[0].arm.batch_size}; the longest way there was "
            f"{number(max(_whole(first[1], name) for name in names))}.",
            data=[
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": shown.called,
                    "x": [label(name) for name in distances],
                    "y": [distance for distance, _ in distances.values()],
                    "line": {"color": shown.colour, "dash": shown.dash},
                    "marker": {"color": shown.colour, "symbol": shown.mark, "size": 8},
                }
                for shown, distances in found
            ],
            layout=layout(axis("parameter tensor") | {"type": "category"}, axis("distance")),
            table=ChartTable(
                headers=("batch size", "parameter tensor", "distance", "share of its initial norm"),
                rows=tuple(
                    (shown.arm.batch_size, name, distance, share)
                    for shown, distances in found
                    for name, (distance, share) in distances.items()
                ),
            ),
        ),
    )


Distances = dict[str, tuple[float | None, float | None]]


def _distances(shown: ShownArm) -> Distances:
    """Mean over the seeds: the distance, and its share of the initial norm."""
    minima = [run.minimum for run in shown.arm.runs if run.minimum is not None]
    names = [layer.name for layer in minima[0].layers] if minima else []
    by_name = {
        name: [layer for found in minima for layer in found.layers if layer.name == name]
        for name in names
    }
    return {
        name: (
            mean_of(layer.distance for layer in same),
            mean_of(layer.distance / layer.initial_norm for layer in same if layer.initial_norm),
        )
        for name, same in by_name.items()
    }


def _whole(distances: Distances, name: str) -> float:
    return distances.get(name, (None, None))[0] or 0.0
