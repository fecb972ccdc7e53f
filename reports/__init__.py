"""Reports: the results of a run as a page that opens from a file.

Names are imported when they are first used: the dashboard uses only the charts.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from reports.build import build_report as build_report
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {"build_report": "reports.build"},
    )
