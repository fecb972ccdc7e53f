"""The run folder: schema, the unfinished side, writing and reading.

Names are imported when they are first used: looking for runs takes less than reading one. Neither
takes torch, but for the basis of a layer; making a run does.
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
