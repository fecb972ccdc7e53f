"""A process that ends with the server that started it, however that one ends.

    python -m dashboard.leash ARGUMENTS   # `dissect ARGUMENTS`, as long as stdin is held open

The server holds the other end of the process's stdin, and the system lets go of it even where the
server was killed and could clean up nothing.
"""

import os
import select
import signal
import sys
import threading
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def hold() -> None:
    """End this process, whatever it is at, as soon as nobody holds the other end of stdin."""
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


if __name__ == "__main__":
    # A server that a shell put into the background ignores Ctrl-C, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hold()
    from dissect.cli import main

    sys.exit(main())
