"""Processes that a server starts: their environment, and how one ends with its server."""

import os
import select
import sys
import threading
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def end_with_parent() -> None:
    """End this process, whatever it is doing, as soon as nobody holds the other end of stdin.

    The server holds it, and the system lets go of it even where the server was killed.
    """
    threading.Thread(target=_wait, args=(sys.stdin.fileno(),), daemon=True).start()


def environment() -> dict[str, str]:
    """For a process that is started where the server was, so that paths mean the same to both."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def _wait(source: int) -> None:
    poll = select.poll()
    poll.register(source, 0)  # nothing but the hang-up, which cannot be left out
    poll.poll()
    os._exit(1)
