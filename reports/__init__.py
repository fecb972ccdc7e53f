"""Reports: the finding of a run on a page that opens from a file.

Names are imported when they are first used: the dashboard shares the charts alone.
"""

from segmenters.lazy import lazy_names

_HOMES = {"build_report": "reports.build"}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
