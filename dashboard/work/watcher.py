"""The process that keeps a queue moving: ``python -m dashboard.work.watcher RUNS PROGRAM``.

As long as a job waits, it checks whether the one before has ended, so that the next one begins
whether a dashboard is there or not. There is one for a folder; it ends with the last job that
waits.
"""

import sys
import time
from pathlib import Path

from dashboard.work.locks import claim_watch
from dashboard.work.queue import Work
from dissect.errors import DissectError

_INTERVAL = 0.5  # seconds
_AFTER_ERROR = 30.0  # seconds, where a full disk lets nothing begin


def watch(runs: Path, program: str) -> None:
    """Begin what waits, one after the other, until nothing waits."""
    work = Work(runs, program=program)
    claimed = claim_watch(work.place)
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


if __name__ == "__main__":
    watch(Path(sys.argv[1]), sys.argv[2])
