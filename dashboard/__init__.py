"""The dashboard: any number of runs, explored in a browser."""

from dashboard.app import create_app
from dashboard.serving import serve
from dashboard.settings import Settings

__all__ = ["Settings", "create_app", "serve"]
