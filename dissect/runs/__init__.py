"""The run folder: schema, the unfinished side, writing and reading."""

from dissect.runs.read import Run, open_run

__all__ = ["Run", "open_run"]
