"""The run folder: its schema, the unfinished pass beside it, writing and reading.

Names are imported when they are first used: finding runs needs less than reading one. Neither needs
torch, except to read a layer's basis; making a run does.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dissect.runs.read import Run as Run, open_run as open_run
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {"Run": "dissect.runs.read", "open_run": "dissect.runs.read"},
    )
