"""The lock under which the queue of a folder is changed, and the process that keeps it moving.

Dashboards, and threads of one, change the queue under a lock on ``.lock`` beside the jobs, which
the system releases when its holder ends, however it ends. As long as a job waits, a small process
(``python -m dashboard.work.watcher RUNS PROGRAM``) checks whether the one before has ended, so that
the next one begins whether a dashboard is there or not. There is one for a folder; it ends with the
last job that waits.
"""

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from dashboard import child_process
from dashboard.work import processes
from dissect.errors import DissectError

_INTERVAL = 0.5  # seconds
_AFTER_ERROR = 30.0  # seconds, where a full disk lets nothing begin
_LOCK, _WATCH = ".lock", ".watch"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a queue; waits for others, who take milliseconds.

    Args:
        folder: Holds the jobs' records; made if it is not there.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / _LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_watcher(runs: Path, folder: Path, program: str) -> None:
    """Start the process that begins what waits, unless there is one.

    Args:
        runs: The folder of runs.
        folder: Holds the jobs' records.
        program: See ``Work``.

    Raises:
        OSError: no process can be started.
    """
    claimed = _claim(folder)
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


def watch(runs: Path, program: str) -> None:
    """Begin what waits, one after the other, until nothing waits."""
    from dashboard.work.queue import Work  # noqa: PLC0415 - which starts this

    work = Work(runs, program=program)
    claimed = _claim(work.place)
    if claimed is None:
        return
    with claimed:
        while True:
            try:
                # The claim ends under the lock: who adds a job after that starts another watcher.
                if not work.advance(last=claimed.close):
                    return
                time.sleep(_INTERVAL)
            except (DissectError, OSError):
                time.sleep(_AFTER_ERROR)


def _claim(folder: Path) -> IO[bytes] | None:
    """The lock of the watcher; None where another process holds it."""
    with suppress(OSError):
        file = (folder / _WATCH).open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file
    return None


if __name__ == "__main__":
    watch(Path(sys.argv[1]), sys.argv[2])
