"""How much memory this process takes while something is done."""

import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_STATM = Path("/proc/self/statm")
_EVERY = 0.005  # seconds
_T = TypeVar("_T")


def resident_memory() -> int:
    """Bytes of this process that are in memory now; the most there were, where no one can tell."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return highest_memory()


def highest_memory() -> int:
    """The most bytes of this process that were in memory since it began."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def peak_memory(work: Callable[[], _T]) -> tuple[_T, int]:
    """Do some work; returns what it returns and the most bytes in memory meanwhile."""
    peak, done = resident_memory(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_EVERY):
            peak = max(peak, resident_memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        found = work()
        peak = max(peak, resident_memory())
    finally:
        done.set()
        watcher.join()
    return found, peak
