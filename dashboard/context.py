"""What the app works with, for pages, callbacks and routes to ask for while they answer a request.

It hangs on the Flask server, so that several apps may live in one process.
"""

import atexit
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import flask

from dashboard.routing import Parts
from dashboard.settings import Settings
from dashboard.store import RunStore

_NAME = "dissect-dashboard"

Service = TypeVar("Service")


@dataclass(frozen=True)
class Context:
    """What the app works with.

    Attributes:
        store: The runs.
        settings: How the app is served.
        parts: Pages and panels.
    """

    store: RunStore
    settings: Settings
    parts: Parts
    _services: dict[str, object] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def service(self, name: str, make: Callable[[], Service]) -> Service:
        """What owns processes or files for the app (renderers, jobs, …), made when first asked for.

        What has a ``close`` is closed with the app, with the process at the latest.
        """
        with self._lock:
            if name not in self._services:
                made = self._services[name] = make()
                if hasattr(made, "close"):
                    atexit.register(made.close)
            return self._services[name]

    def close(self) -> None:
        """End the processes that work for the app."""
        with self._lock:
            services = list(self._services.values())
        for service in services:
            if hasattr(service, "close"):
                service.close()


def attach(server: flask.Flask, context: Context) -> None:
    """Hang it on a server."""
    server.extensions[_NAME] = context


def current() -> Context:
    """That of the app which answers the present request."""
    return flask.current_app.extensions[_NAME]
