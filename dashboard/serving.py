"""Serves the app with waitress."""

import dataclasses
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import dash
import waitress
from waitress.server import BaseWSGIServer

from dashboard.app import create_app
from dashboard.settings import Settings
from dissect.errors import ConfigError, RunError

_THREADS = 8


def serve(
    runs_dir: str | Path, settings: Settings, *, started: Callable[[str], None] | None = None
) -> None:
    """Serve a folder of runs until Ctrl-C.

    Args:
        runs_dir: Holds runs, or is one.
        settings: See ``Settings``; port 0 takes a free one.
        started: Called with the address once it listens.

    Raises:
        ConfigError: settings that would let anyone in, or a port that is taken.
        RunError: no such folder.
    """
    settings.check()
    if not Path(runs_dir).is_dir():
        raise RunError(f"{runs_dir} is no folder; expected one that holds runs; check the path")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        sock = listen(settings.host, settings.port)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"{settings.host} port {settings.port} cannot be listened on ({error}); expected a "
            "free port of this machine; give another --port, or 0 for any"
        ) from error
    settings = dataclasses.replace(settings, port=sock.getsockname()[1])
    server = make_server(create_app(runs_dir, settings), sock)
    if started is not None:
        started(settings.url)
    try:
        server.run()
    finally:
        server.close()


def make_server(app: dash.Dash, sock: socket.socket) -> BaseWSGIServer:
    """A server on a bound socket; ``run()`` serves until ``close()``."""
    return waitress.create_server(app.server, sockets=[sock], threads=_THREADS, ident=None)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock
