"""The dashboard: any number of runs, explored in a browser.

Names are imported when they are first used: a rendering worker needs no web modules.
"""

from typing import TYPE_CHECKING

from segmenters.lazy import lazy_names

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from dashboard.app import create_app as create_app
    from dashboard.serving import serve as serve
    from dashboard.settings import Settings as Settings
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Settings": "dashboard.settings",
            "create_app": "dashboard.app",
            "serve": "dashboard.serving",
        },
    )
