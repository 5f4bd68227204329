"""Claims of the literature, each with its effect and interval."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import LINE, axis, intervals, label, layout
from service.charts.palette import BLUE, GREY, ORANGE
from service.evidence import StudyEvidence
from tuner.study_findings import ClaimFound

ROW_PIXELS: Final = 34
FRAME_PIXELS: Final = 130
VERDICTS: Final = {
    "holds": ("holds", BLUE, "circle"),
    "does_not_hold": ("does not hold", ORANGE, "x"),
    "cannot_be_told": ("cannot be told", GREY, "circle-open"),
}


def claims(evidence: StudyEvidence) -> tuple[Chart, ...]:
    """Draw every claim's effect in units of the smallest effect that counts.

    Args:
        evidence: Of a study.
    """
    found = evidence.findings.claims if evidence.findings else ()
    if not found:
        return ()
    counts: Counter[str] = Counter(claim.verdict for claim in found)
    told = ", ".join(f"{counts[key]} {VERDICTS[key][0]}" for key in VERDICTS if counts[key])
    drawn = [one for one in found if one.effect is not None and one.smallest_effect]
    return (
        Chart(
            name="claims",
            title="Claims about batch size, held against this workload",
            summary=f"Of {len(found)} claims: {told}.",
            data=[trace for verdict in VERDICTS for trace in _traces(drawn, verdict)],
            layout=layout(
                axis("effect, in units of the smallest that counts"),
                axis("")
                | {
                    "type": "category",
                    "categoryorder": "array",
                    "categoryarray": [label(one.code) for one in reversed(drawn)],
                },
                height=FRAME_PIXELS + ROW_PIXELS * max(1, len(drawn)),
                shapes=[_border(-1.0), _border(1.0)],
            ),
            table=ChartTable(
                headers=(
                    "claim",
                    "statement",
                    "verdict",
                    "measure",
                    "effect",
                    "from",
                    "to",
                    "confidence",
                    "smallest effect",
                    "seeds",
                    "why",
                ),
                rows=tuple(_row(one) for one in found),
            ),
        ),
    )


def _traces(drawn: list[ClaimFound], verdict: str) -> list[dict[str, Any]]:
    same = [one for one in drawn if one.verdict == verdict]
    if not same:
        return []
    name, colour, mark = VERDICTS[verdict]
    effects = [(one.effect or 0.0) / one.smallest_effect for one in same]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": effects,
            "y": [label(one.code) for one in same],
            "text": [label(one.statement) for one in same],
            "hovertemplate": "%{text}: %{x:.3g}<extra></extra>",
            "error_x": intervals(
                effects,
                [None if one.low is None else one.low / one.smallest_effect for one in same],
                [None if one.high is None else one.high / one.smallest_effect for one in same],
            ),
            "marker": {"color": colour, "symbol": mark, "size": 10},
        }
    ]


def _border(x: float) -> dict[str, Any]:
    return {
        "type": "line",
        "yref": "paper",
        "y0": 0.0,
        "y1": 1.0,
        "x0": x,
        "x1": x,
        "line": {"color": LINE, "dash": "dot", "width": 1.5},
    }


def _row(one: ClaimFound) -> tuple[str | int | float | None, ...]:
    return (
        one.code,
        one.statement,
        VERDICTS[one.verdict][0],
        one.measure,
        one.effect,
        one.low,
        one.high,
        one.confidence,
        one.smallest_effect,
        one.seeds,
        one.why,
    )
