"""Stops processes that may outlive their parent.

``dissect.processes`` identifies them.
"""

import os
import signal
import subprocess
import threading
import time

from dissect.processes import identity

_LOOK = 0.1  # seconds


__all__ = ["identity", "reap", "stop"]


def reap(process: subprocess.Popen) -> None:
    """Wait for a child's end in a thread, so that it does not stay as a zombie."""
    threading.Thread(target=process.wait, daemon=True).start()


def stop(pid: int, known: str, *, patience: float) -> None:
    """Stop a process and its group like Ctrl-C; kill them after a while.

    Args:
        pid: The leader of its group.
        known: Its ``identity``; does nothing to another process with that number.
        patience: Seconds until it is killed. The call returns at once; a thread waits.
    """
    if not _send(pid, known, signal.SIGINT):
        return

    def insist() -> None:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if identity(pid) != known:
                return
            time.sleep(_LOOK)
        _send(pid, known, signal.SIGKILL)

    threading.Thread(target=insist, daemon=True).start()


def _send(pid: int, known: str, number: signal.Signals) -> bool:
    if identity(pid) != known:
        return False
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    return True
