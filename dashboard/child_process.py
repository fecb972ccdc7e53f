"""Child processes of a server: their environment, and how they end with the server."""

import os
import select
import sys
import threading
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def end_with_parent() -> None:
    """End this process, during any task, as soon as the other end of stdin is closed.

    The server holds that end, and the system closes it even if the server was killed.
    """
    threading.Thread(target=_wait, args=(sys.stdin.fileno(),), daemon=True).start()


def environment() -> dict[str, str]:
    """Environment of a child process with the server's working folder, so that paths agree."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def _wait(source: int) -> None:
    poll = select.poll()
    poll.register(source, 0)  # only the hang-up, which poll always reports
    poll.poll()
    os._exit(1)
