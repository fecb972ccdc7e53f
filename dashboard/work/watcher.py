"""The process that keeps a queue moving: ``python -m dashboard.work.watcher RUNS PROGRAM``.

While a job waits, it checks whether the previous one has ended, so that the next one starts with or
without an open dashboard. There is one watcher per folder; it ends with the last waiting job.
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
    """Start waiting jobs, one after the other, until none waits."""
    work = Work(runs, program=program)
    claimed = claim_watch(work.place)
    if claimed is None:
        return
    with claimed:
        while True:
            try:
                # The claim ends under the lock: a later job starts another watcher.
                if not work.advance(last=claimed.close):
                    return
                time.sleep(_INTERVAL)
            except (DissectError, OSError):
                time.sleep(_AFTER_ERROR)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), sys.argv[2])
