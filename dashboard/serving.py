"""Serves the app with waitress, and ends it at once, with all its worker processes.

Runs that were started from a page continue: they are not among these processes.
"""

import dataclasses
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import dash
from waitress import wasyncore

from dashboard import context
from dashboard.app import create_app
from dashboard.connections import GuardedServer
from dashboard.security import gate_of
from dashboard.settings import Settings
from dissect.errors import ConfigError, RunError

_GRACE = 0.3  # seconds for answers in progress at the end


def serve(
    runs_dir: str | Path, settings: Settings, *, started: Callable[[str], None] | None = None
) -> None:
    """Serve a folder of runs until Ctrl-C or SIGTERM.

    Args:
        runs_dir: A folder of runs, or one run.
        settings: See ``Settings``; port 0 takes a free one.
        started: Called with the address when the server listens.

    Raises:
        ConfigError: a port that is taken.
        RunError: no such folder.
    """
    if not Path(runs_dir).is_dir():
        raise RunError(f"{runs_dir} is not a folder; expected one that holds runs; check the path")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        sock = listen(settings.host, settings.port)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"{settings.host} port {settings.port} cannot be listened on ({error}); expected a "
            "free port of this machine; give another --port, or 0 for any"
        ) from error
    settings = dataclasses.replace(settings, port=sock.getsockname()[1])
    app = create_app(runs_dir, settings)
    server = make_server(app, sock)
    _listen_to_sigterm()
    if started is not None:
        started(settings.url)
    try:
        # Not run(), which would wait five seconds for threads that wait for a renderer.
        wasyncore.loop(map=server.sockets, timeout=1, use_poll=True)
    except KeyboardInterrupt:
        _ignore_further_signals()
    finally:
        logging.getLogger("waitress").setLevel(logging.CRITICAL)  # it would report open clients
        with app.server.app_context():
            context.current().close()
        server.end_tasks(_GRACE)
        server.close()


def _listen_to_sigterm() -> None:
    """Handle SIGTERM like Ctrl-C."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _ignore_further_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def make_server(app: dash.Dash, sock: socket.socket) -> GuardedServer:
    """A server on a bound socket; ``run()`` serves until ``close()``."""
    # Imported objects stay: scanning them for garbage would delay pages by 0.2 s.
    gc.collect()
    gc.freeze()
    return GuardedServer(
        app.server,
        sock,
        gate_of(app),
        max_request_bytes=app.server.config["MAX_CONTENT_LENGTH"],
    )


def stop(server: GuardedServer) -> None:
    """End ``run()`` from another thread; open connections are closed."""

    triggered = threading.Event()

    def close() -> None:
        triggered.wait()  # the loop may be awake already, and this closes its wake-up channel
        for channel in server.channels:
            channel.handle_close()
        wasyncore.close_all(server.sockets, ignore_all=True)

    try:
        server.wake(close)  # the loop's own thread must close its sockets
    finally:
        triggered.set()


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock
