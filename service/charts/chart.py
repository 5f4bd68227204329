"""A chart: what Plotly draws, what it says in one sentence, and the same numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Cell: TypeAlias = str | int | float | None
"""What stands in a table; None was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartTable:
    """The numbers of a chart, for who reads without script, without colour or without eyes.

    Args:
        headers: Of the columns, units included.
        rows: As many cells each as there are headers.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One figure. All strings are plain text but those inside `data` and `layout`.

    Plotly reads a few HTML tags in its texts, so that whatever a user wrote is escaped where it
    enters `data` or `layout` (`service.charts.drawing.label`), and nowhere else.

    Args:
        name: Stable, for addresses and ids: lower case, digits and hyphens.
        title: A heading.
        summary: One sentence that says what it shows, with its numbers: the text alternative.
        data: Traces of Plotly.
        layout: Of Plotly; transparent, and without a font colour: the page sets that.
        table: The same numbers.
    """

    name: str
    title: str
    summary: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    table: ChartTable

    def plain(self) -> dict[str, Any]:
        """Write it as plain JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "summary": self.summary,
            "data": [dict(trace) for trace in self.data],
            "layout": dict(self.layout),
            "table": {
                "headers": list(self.table.headers),
                "rows": [list(row) for row in self.table.rows],
            },
        }
