"""A report as Markdown: what HTML shows in figures stands here in their tables."""

from __future__ import annotations

import re
from typing import Final

from service.charts import Cell, ChartTable
from service.charts.drawing import number
from service.report.document import Report, Section

_MARKED: Final = re.compile(r"[\\`*{}\[\]<>|&~$]|(?<![^\W_])_|_(?![^\W_])")
"""What means something to Markdown, or to the HTML inside of it, within a line."""


def as_markdown(report: Report) -> str:
    """Write a report as Markdown.

    Args:
        report: What it says.

    Returns:
        Text whose every user-given part is escaped.
    """
    parts = [f"# {escaped(report.title)}", escaped(report.lead)]
    for section in report.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Make a text mean itself in Markdown.

    Args:
        text: Whatever a user wrote; line ends become spaces.
    """
    return _MARKED.sub(_harmless, " ".join(text.split()))


def _harmless(found: re.Match[str]) -> str:
    named = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    return named.get(found[0], f"\\{found[0]}")


def _section(section: Section) -> list[str]:
    parts = [f"## {escaped(section.title)}", *map(escaped, section.paragraphs)]
    if section.facts:
        lines = [f"- {escaped(name)}: {escaped(value)}" for name, value in section.facts.items()]
        parts.append("\n".join(lines))
    if section.chart is not None:
        parts += [escaped(section.chart.summary), _table(section.chart.table)]
    if section.table is not None:
        parts.append(_table(section.table))
    if section.code is not None:
        fence = "`" * (3 + max((len(run) for run in re.findall("`+", section.code)), default=0))
        parts.append(f"{fence}\n{section.code}\n{fence}")
    return parts


def _table(table: ChartTable) -> str:
    lines = [_row(table.headers), "|" + " --- |" * len(table.headers)]
    return "\n".join([*lines, *(_row(row) for row in table.rows)])


def _row(cells: tuple[Cell, ...]) -> str:
    return "| " + " | ".join(escaped(shown(cell)) for cell in cells) + " |"


def shown(cell: Cell) -> str:
    """Write a cell as people read it.

    Args:
        cell: Of a table.
    """
    return cell if isinstance(cell, str) else number(cell, 5)
