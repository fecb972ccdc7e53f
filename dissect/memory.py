"""Measures the memory of this process, limits it, and lets freed memory be used again."""

import ctypes
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
_ROOM_PER_THREAD = 16 << 20  # bytes that a thread may use for itself
_ONE_AT_A_TIME = threading.RLock()  # a limit applies to the whole process
_EVERY = 0.005  # seconds
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt, malloc.h
_KEPT = {_MMAP_THRESHOLD: 1 << 30, _TRIM_THRESHOLD: (1 << 31) - 1}  # bytes
_USUAL = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}  # the largest that glibc chooses
_CHOSEN_BY_USER = (
    "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES",
)  # fmt: skip
_T = TypeVar("_T")


def resident_memory() -> int:
    """Bytes of this process in memory now; the peak, where the system does not report it."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return highest_memory()


def highest_memory() -> int:
    """Peak memory of this process in bytes since it started."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def peak_memory(work: Callable[[], _T]) -> tuple[_T, int]:
    """Call a function; returns its result and the peak memory in bytes during the call."""
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
    """Limit the further memory of this process inside the ``with``, on Linux only.

    Beyond the limit Python raises a MemoryError, torch a RuntimeError. Other threads are limited
    too.
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


@contextmanager
def reused_memory() -> Iterator[None]:
    """Keep freed memory for the next allocations inside the ``with``, where glibc allocates.

    Otherwise glibc returns every block of more than 32 MB to the system at once, which then clears
    each page of the next one: a quarter of the time of a small generator. Freed memory goes back at
    the end. Does nothing where the user has set thresholds for glibc in the environment.
    """
    library = _glibc()
    if library is None or any(name in os.environ for name in _CHOSEN_BY_USER):
        yield
        return
    for parameter, n_bytes in _KEPT.items():
        library.mallopt(parameter, n_bytes)
    try:
        yield
    finally:
        for parameter, n_bytes in _USUAL.items():
            library.mallopt(parameter, n_bytes)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process if it is glibc."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):  # another system or C library
        return None
    return ctypes.CDLL(None) if name else None
