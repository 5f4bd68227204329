"""Finalists with their intervals: the recommended one, and those that lost."""

from __future__ import annotations

from dataclasses import dataclass

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, intervals, layout, number
from service.charts.palette import BLUE, GREEN, GREY
from service.evidence import TuningEvidence
from tuner.recommendation import Candidate, Interval, Recommendation


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """A configuration that was run again on unseen seeds.

    Args:
        batch: Samples per step.
        rate: Learning rate.
        role: `recommended`, `inseparable`, or `confirmed`.
        runs: How often it was run.
        reached: How many runs reached the target or their end.
        worth: Seconds to the target, or the metric at the end; None where it is not known.
    """

    batch: int
    rate: float
    role: str
    runs: int
    reached: int
    worth: Interval | None

    @property
    def called(self) -> str:
        """What it is called on an axis."""
        return f"B {self.batch}, rate {number(self.rate)}"


def finalists(evidence: TuningEvidence) -> Chart | None:
    """Draw what the finalists were worth, each with its interval.

    Args:
        evidence: Of a tuning job.

    Returns:
        The chart; None where nothing was confirmed.
    """
    answer = evidence.answer
    if answer is None:
        return None
    found = finalists_of(answer)
    drawn = [one for one in found if one.worth is not None]
    if not drawn:
        return None
    is_time = answer.time_to_target_seconds is not None
    what = "seconds to the target" if is_time else answer.metric.replace("_", " ")
    worths = [one.worth for one in drawn if one.worth is not None]
    bars = intervals(
        [worth.estimate for worth in worths],
        [worth.low for worth in worths],
        [worth.high for worth in worths],
    )
    return Chart(
        name="finalists",
        title=f"Finalists: {what} with 95 % intervals",
        summary=_summary(drawn, what),
        data=[
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": what,
                "x": [worth.estimate for worth in worths],
                "y": [one.called for one in drawn],
                "text": [one.role for one in drawn],
                "textposition": "top center",
                "error_x": bars | {"color": GREY},
                "marker": {
                    "size": 11,
                    "color": [GREEN if one.role == "recommended" else BLUE for one in drawn],
                    "symbol": ["star" if one.role == "recommended" else "circle" for one in drawn],
                },
            }
        ],
        layout=layout(
            axis(what) | {"rangemode": "tozero"},
            axis("") | {"type": "category", "autorange": "reversed"},
            showlegend=False,
        ),
        table=ChartTable(
            headers=(
                "global batch size",
                "learning rate",
                "role",
                "runs",
                "runs that reached it",
                what,
                "from",
                "to",
            ),
            rows=tuple(_row(one) for one in found),
        ),
    )


def finalists_of(answer: Recommendation) -> tuple[Finalist, ...]:
    """List all configurations that an answer knows, the recommended one first.

    Args:
        answer: Of a job.

    Returns:
        Each configuration once.
    """
    if answer.learning_rate is None:
        return ()
    first = Finalist(
        batch=answer.global_batch_size,
        rate=answer.learning_rate,
        role="recommended",
        runs=answer.runs,
        reached=answer.runs_reached,
        worth=answer.time_to_target_seconds or answer.metric_at_budget,
    )
    found = {(first.batch, first.rate): first}
    for role, candidates in (("inseparable", answer.rivals), ("confirmed", answer.pareto)):
        for one in candidates:
            found.setdefault((one.global_batch_size, one.learning_rate), _finalist(one, role))
    return tuple(found.values())


def _finalist(one: Candidate, role: str) -> Finalist:
    worth: Interval | None = one.time_to_target_seconds
    if worth is None and one.final_metric is not None:
        worth = Interval(estimate=one.final_metric, low=None, high=None)
    return Finalist(
        batch=one.global_batch_size,
        rate=one.learning_rate,
        role=role,
        runs=one.runs,
        reached=one.runs_reached,
        worth=worth,
    )


def _row(one: Finalist) -> tuple[str | int | float | None, ...]:
    worth = one.worth
    numbers = (worth.estimate, worth.low, worth.high) if worth else (None, None, None)
    return (one.batch, one.rate, one.role, one.runs, one.reached, *numbers)


def _summary(drawn: list[Finalist], what: str) -> str:
    first = drawn[0]
    worth = first.worth
    if worth is None:
        return f"{len(drawn)} finalists by {what}."
    around = ""
    if worth.low is not None and worth.high is not None:
        around = f" ({number(worth.low)} to {number(worth.high)})"
    others = [one for one in drawn[1:] if one.role == "inseparable"]
    told = {0: "no other configuration is inseparable from it"}.get(
        len(others), f"{len(others)} of {len(drawn) - 1} others cannot be told from it"
    )
    return f"{first.called}, the {first.role} one: {number(worth.estimate)}{around} {what}; {told}."
