"""Handles Ctrl-C at a safe point: a block is counted completely or not at all."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Defer the first Ctrl-C; the yielded function returns whether it came.

    A second Ctrl-C interrupts at once. Outside the main thread, signals are not changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    interrupted = False
    previous = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
