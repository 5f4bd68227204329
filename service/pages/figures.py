"""The figures of a job as its page shows them."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, TypeAlias

from service.charts.chart import Cell, Chart
from service.charts.figures import showing
from service.charts.registry import charts_of
from service.evidence import StudyEvidence, study_evidence, tuning_evidence
from service.store.jobs import Jobs
from service.store.tables import Job, JobKind

KEPT_JOBS: Final = 8
"""Jobs whose figures are kept: drawing those of a long one takes tenths of a second."""

ROWS: Final = 50
"""Rows of a figure's table that stand beside it; all of them have a page of their own."""

Drawn: TypeAlias = tuple[tuple[Chart, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureShown:
    """One figure.

    Args:
        chart: What it shows.
        drawing: For Plotly, as JSON that may stand inside of HTML.
        rows: Those of its table that are shown.
        more_rows: How many are not.
        claims: Names that claims give for it.
    """

    chart: Chart
    drawing: str
    rows: Sequence[tuple[Cell, ...]]
    more_rows: int
    claims: tuple[str, ...]


class Figures:
    """Draws the figures of jobs, and keeps the newest ones."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, Drawn]] = OrderedDict()
        self._lock = Lock()

    def of(self, job: Job, jobs: Jobs) -> tuple[FigureShown, ...]:
        """Draw all figures of a job.

        Args:
            job: Which job, as it is now.
            jobs: The store.

        Returns:
            Those for which something was measured, in their order.
        """
        charts, claimed = self._drawn(job, jobs)
        by_chart: dict[str, list[str]] = {}
        for name in dict.fromkeys(claimed):
            found = showing(name, charts)
            if found is not None:
                by_chart.setdefault(found.name, []).append(name)
        return tuple(
            FigureShown(
                chart=chart,
                drawing=inside_html({"data": chart.data, "layout": chart.layout}),
                rows=chart.table.rows[:ROWS],
                more_rows=max(0, len(chart.table.rows) - ROWS),
                claims=tuple(by_chart.get(chart.name, ())),
            )
            for chart in charts
        )

    def chart(self, job: Job, jobs: Jobs, name: str) -> Chart | None:
        """Draw one figure.

        Args:
            job: Which job, as it is now.
            jobs: The store.
            name: Of the chart.

        Returns:
            The chart; None if there is none of that name.
        """
        charts, _ = self._drawn(job, jobs)
        return next((chart for chart in charts if chart.name == name), None)

    def _drawn(self, job: Job, jobs: Jobs) -> Drawn:
        with self._lock:
            revision, drawn = self._kept.get(job.id, (-1, ((), ())))
            if revision == job.revision:
                self._kept.move_to_end(job.id)
                return drawn
        recorded = jobs.recorded(job.number)
        if recorded is None:
            return (), ()
        is_study = job.kind == JobKind.STUDY
        evidence = study_evidence(recorded) if is_study else tuning_evidence(recorded)
        claims: tuple[str, ...] = ()
        if isinstance(evidence, StudyEvidence) and evidence.findings is not None:
            claims = tuple(claim.figure for claim in evidence.findings.claims)
        drawn = charts_of(evidence), claims
        with self._lock:
            self._kept[job.id] = (recorded.job.revision, drawn)
            self._kept.move_to_end(job.id)
            while len(self._kept) > KEPT_JOBS:
                self._kept.popitem(last=False)
        return drawn


def inside_html(value: Any) -> str:
    r"""Write JSON that cannot end the element it stands in: `<` becomes `\u003c`.

    Args:
        value: Plain values.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
