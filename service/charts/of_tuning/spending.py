"""Where device time went."""

from __future__ import annotations

from typing import Final

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, counted, layout, seconds
from service.charts.palette import BLUE
from service.evidence import TuningEvidence

STAGES: Final[tuple[str, ...]] = (
    "inspect",
    "memory",
    "timing",
    "verify",
    "race",
    "plan",
    "search",
    "confirm",
)
"""In the order in which they are gone through."""


def spending(evidence: TuningEvidence) -> Chart | None:
    """Draw the device seconds of each stage.

    Args:
        evidence: Of a tuning job.

    Returns:
        The chart; None before anything was measured.
    """
    spent = {stage: each for stage, each in evidence.seconds_by_stage.items() if each > 0}
    if not spent:
        return None
    stages = [stage for stage in STAGES if stage in spent]
    stages += sorted(spent.keys() - set(stages))
    total = sum(spent.values())
    most = max(stages, key=lambda stage: spent[stage])
    lost = counted(len(evidence.lost), "attempt")
    return Chart(
        name="spending",
        title="Where device time went",
        summary=f"{seconds(total)} on devices in all, {spent[most] / total:.0%} of it in the "
        f"{most} stage; {lost} ended without a result.",
        data=[
            {
                "type": "bar",
                "orientation": "h",
                "name": "device seconds",
                "x": [spent[stage] for stage in stages],
                "y": stages,
                "text": [seconds(spent[stage]) for stage in stages],
                "textposition": "auto",
                "marker": {"color": BLUE},
            }
        ],
        layout=layout(
            axis("device seconds"),
            axis("") | {"type": "category", "autorange": "reversed"},
            showlegend=False,
        ),
        table=ChartTable(
            headers=("stage", "device seconds", "share"),
            rows=tuple((stage, spent[stage], f"{spent[stage] / total:.1%}") for stage in stages),
        ),
    )
