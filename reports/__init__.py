"""Reports: the finding of a run on a page that opens from a file."""

from reports.build import build_report

__all__ = ["build_report"]
