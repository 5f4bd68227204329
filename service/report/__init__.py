"""Reports: one file with all that a job has shown, to be handed on."""

from service.report.formats import FORMATS, MEDIA_TYPES, ReportFormat, write_report

__all__ = ["FORMATS", "MEDIA_TYPES", "ReportFormat", "write_report"]
