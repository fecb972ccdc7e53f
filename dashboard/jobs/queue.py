"""Who decides, and who looks after those that wait.

Dashboards, and threads of one, decide under a lock on ``RUNS/.jobs/.lock``, which the system lets
go of when its holder ends, however it ends. As long as a job waits, a small process of its own
(``python -m dashboard.jobs.queue RUNS PROGRAM``) looks whether the one before has ended, so that
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

from dashboard import leash
from dashboard.jobs import processes
from dissect.errors import DissectError

_LOOK = 0.5  # seconds
_AFTER_FAULT = 30.0  # seconds, where a full disk lets nothing begin
_LOCK, _WATCH = ".lock", ".watch"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only one who decides; waits for others, who take milliseconds.

    Args:
        folder: Of the jobs' records; made if it is not there.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_watch(runs: Path, folder: Path, program: str) -> None:
    """Have somebody look after those that wait.

    Raises:
        OSError: no process can be had.
    """
    mine = _claim(folder)
    if mine is None:
        return
    mine.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard.jobs.queue", str(runs), program],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=leash.environment(),
        start_new_session=True,
    )  # fmt: skip
    processes.reap(process)


def watch(runs: Path, program: str) -> None:
    """Begin what waits, one after the other, until nothing waits."""
    from dashboard.jobs.jobs import Jobs  # noqa: PLC0415 - which starts this

    jobs = Jobs(runs, program=program)
    mine = _claim(jobs.place)
    if mine is None:
        return
    with mine:
        while True:
            try:
                # That it is over is said under the lock: who adds one after that starts another.
                if not jobs.go_on(last=mine.close):
                    return
                time.sleep(_LOOK)
            except (DissectError, OSError):
                time.sleep(_AFTER_FAULT)


def _claim(folder: Path) -> IO[bytes] | None:
    """The lock of the one who watches; None where another one holds it."""
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
