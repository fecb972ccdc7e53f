"""The context of the app that handles the current request, for pages, callbacks and routes.

It is attached to the Flask server, so that several apps can exist in one process.
"""

import flask

from dashboard.routing import Context

_NAME = "dissect-dashboard"


def attach(server: flask.Flask, context: Context) -> None:
    """Attach a context to a server."""
    server.extensions[_NAME] = context


def current() -> Context:
    """The context of the app that handles the current request."""
    return flask.current_app.extensions[_NAME]
