"""What a report says, before it is HTML or Markdown: sections of sentences, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.charts import Chart, ChartTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a report. All strings are plain text.

    Args:
        name: Stable, for links: lower case, digits and hyphens.
        title: Its heading.
        paragraphs: Sentences.
        facts: Names and values.
        table: Rows of numbers.
        chart: A figure; its table and summary are shown with it.
        code: Lines to be copied word for word.
    """

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    table: ChartTable | None = None
    chart: Chart | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report.

    Args:
        title: Its heading.
        lead: The answer in one sentence.
        sections: In the order in which they are read.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
