"""How much memory this process takes while something is done, and a limit to it."""

import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

_STATM = Path("/proc/self/statm")
_STATUS = Path("/proc/self/status")
_ROOM_PER_THREAD = 16 << 20  # bytes that a thread may take for itself
_ONE_AT_A_TIME = threading.RLock()  # a limit is that of the whole process
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


@contextmanager
def bounded_memory(n_bytes: int) -> Iterator[None]:
    """Let this process take so many further bytes inside, on Linux; elsewhere nothing is limited.

    Whoever asks for more gets a MemoryError, or of torch a RuntimeError. Meanwhile other threads
    are limited too.
    """
    try:
        fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        taken = int(fields["VmData"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        yield
        return
    with _ONE_AT_A_TIME:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = taken + n_bytes + _ROOM_PER_THREAD * (os.cpu_count() or 1)
        if soft != resource.RLIM_INFINITY:
            limit = min(limit, soft)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
