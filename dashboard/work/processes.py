"""Processes that outlive the one that started them: how one is recognised, and stopped.

A number of a process is given again after it ended. With the time at which the process began, and
the start of the machine from which that is counted, it names one process only.
"""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

_PROC = Path("/proc")
_START_FIELD = 19  # of /proc/PID/stat behind the name in parentheses: field 22, proc(5)
_LOOK = 0.1  # seconds


def identity(pid: int) -> str | None:
    """What tells a living process from others of its number; None where it ended."""
    if not (_PROC / "self" / "stat").exists():
        return _identity_by_ps(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}:{fields[_START_FIELD]}"


def _identity_by_ps(pid: int) -> str | None:
    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607, where it lies differs
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    state, _, began = done.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else began.strip()


def reap(process: subprocess.Popen) -> None:
    """Take note of a child's end as soon as it comes, so that it does not stay as a zombie."""
    threading.Thread(target=process.wait, daemon=True).start()


def stop(pid: int, known: str, *, patience: float) -> None:
    """Ask a process and its group to stop, as Ctrl-C does; kill them after a while.

    Args:
        pid: The leader of its group.
        known: Its ``identity``; another process of that number is left alone.
        patience: Seconds until it is killed. It returns at once and waits in a thread.
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
