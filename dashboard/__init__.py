"""The dashboard: any number of runs, explored in a browser."""

from dashboard.app import create_app
from dashboard.settings import Settings

__all__ = ["Settings", "create_app"]
