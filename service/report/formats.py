"""The formats of a report: one line for each."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from service.evidence import StudyEvidence, TuningEvidence
from service.report.as_json import as_json
from service.report.document import Report
from service.report.html import as_html
from service.report.markdown import as_markdown
from service.report.of_study import study_report
from service.report.of_tuning import tuning_report


class ReportFormat(StrEnum):
    """How a report is written."""

    HTML = "html"
    """One file that a browser shows, figures included."""
    MARKDOWN = "md"
    """Text and tables."""
    JSON = "json"
    """Everything, for programs."""


FORMATS: Final = tuple(ReportFormat)
MEDIA_TYPES: Final = {
    ReportFormat.HTML: "text/html; charset=utf-8",
    ReportFormat.MARKDOWN: "text/markdown; charset=utf-8",
    ReportFormat.JSON: "application/json",
}


def write_report(evidence: TuningEvidence | StudyEvidence, form: ReportFormat) -> str:
    """Write all that is stored of a job into one file.

    Args:
        evidence: Of the job.
        form: How to write it.

    Returns:
        The file.
    """
    if form is ReportFormat.JSON:
        return as_json(evidence)
    report = _report(evidence)
    return as_html(report) if form is ReportFormat.HTML else as_markdown(report)


def _report(evidence: TuningEvidence | StudyEvidence) -> Report:
    if isinstance(evidence, TuningEvidence):
        return tuning_report(evidence)
    return study_report(evidence)
