"""The lock for changes of a folder's queue, and the claim of its watcher.

Dashboards, and threads of one, change the queue under a lock on ``.lock`` beside the jobs. The
system releases it when its holder ends, for any reason. A folder has at most one watcher: see
``dashboard.work.watcher``.
"""

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from dashboard import child_process
from dashboard.work import processes

_LOCK, _WATCH = ".lock", ".watch"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a queue; waits for others, which takes milliseconds.

    Args:
        folder: Folder of the jobs' records; created if needed.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / _LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_watcher(runs: Path, folder: Path, program: str) -> None:
    """Start the process that starts waiting jobs, unless it exists.

    Args:
        runs: The folder of runs.
        folder: Folder of the jobs' records.
        program: See ``Work``.

    Raises:
        OSError: no process can be started.
    """
    claimed = claim_watch(folder)
    if claimed is None:
        return
    claimed.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard.work.watcher", str(runs), program],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=child_process.environment(),
        start_new_session=True,
    )  # fmt: skip
    processes.reap(process)


def claim_watch(folder: Path) -> IO[bytes] | None:
    """The lock of the watcher; None if another process holds it."""
    with suppress(OSError):
        file = (folder / _WATCH).open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file
    return None
