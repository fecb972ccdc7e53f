"""What the app works with, for pages, callbacks and routes to ask for while they answer a request.

It hangs on the Flask server, so that several apps may live in one process.
"""

from dataclasses import dataclass

import flask

from dashboard.routing import Parts
from dashboard.settings import Settings
from dashboard.store import RunStore

_NAME = "dissect-dashboard"


@dataclass(frozen=True)
class Context:
    """What the app works with.

    Attributes:
        store: The runs.
        settings: How the app is served.
        parts: Pages and panels.
        services: Owners that others add at the start (a rendering process, jobs, notes), by name.
    """

    store: RunStore
    settings: Settings
    parts: Parts
    services: dict[str, object]


def attach(server: flask.Flask, context: Context) -> None:
    """Hang it on a server."""
    server.extensions[_NAME] = context


def current() -> Context:
    """That of the app which answers the present request."""
    return flask.current_app.extensions[_NAME]
