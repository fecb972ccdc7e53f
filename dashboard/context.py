"""The context of the app that answers the present request, for pages, callbacks and routes.

It hangs on the Flask server, so that several apps may live in one process.
"""

import flask

from dashboard.routing import Context

_NAME = "dissect-dashboard"


def attach(server: flask.Flask, context: Context) -> None:
    """Hang it on a server."""
    server.extensions[_NAME] = context


def current() -> Context:
    """That of the app which answers the present request."""
    return flask.current_app.extensions[_NAME]
