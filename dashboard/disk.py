"""Disk space of runs, measured at most once a minute."""

import os
import threading
import time
from pathlib import Path

_KEPT = 60.0  # seconds


class DiskUse:
    """Bytes of folders, each measured at most once a minute unless its top level changed.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, float, int]] = {}
        self._lock = threading.Lock()

    def of(self, folder: Path) -> int:
        """Bytes of a folder's files; 0 if it does not exist."""
        try:
            changed = folder.stat().st_mtime_ns
        except OSError:
            return 0
        now = time.monotonic()
        with self._lock:
            known = self._known.get(folder)
        if known is not None and known[0] == changed and now - known[1] < _KEPT:
            return known[2]
        size = _count(folder)
        with self._lock:
            self._known[folder] = (changed, now, size)
        return size


def _count(folder: Path) -> int:
    total, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # deleted meanwhile
            continue
    return total
