"""The dashboard: any number of runs, explored in a browser.

Names are imported when they are first used: a rendering worker needs none of the web's modules.
"""

from segmenters.lazy import lazy_names

_HOMES = {
    "Settings": "dashboard.settings",
    "create_app": "dashboard.app",
    "serve": "dashboard.serving",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
