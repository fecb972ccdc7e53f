"""The run folder: schema, the unfinished side, writing and reading.

Names are imported when they are first used: looking for runs takes less than reading one. Neither
takes torch, but for the basis of a layer; making a run does.
"""

from segmenters.lazy import lazy_names

_HOMES = {"Run": "dissect.runs.read", "open_run": "dissect.runs.read"}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
