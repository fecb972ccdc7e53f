"""The worker's end: orders come by stdin, answers go by what stdout was.

A worker ends at once, whatever it is doing, when nobody holds the other end of its stdin any more:
the system lets go of it even where the process that gave the orders was killed.
"""

import json
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


class Channel:
    """Orders and answers of this process. What else is printed to stdout goes to stderr."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is told by who gives the orders
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._orders = os.fdopen(os.dup(0), "r")
        threading.Thread(target=_end_with, args=(self._orders.fileno(),), daemon=True).start()

    def orders(self) -> Iterator[dict[str, Any]]:
        """One after the other, until there are no more."""
        for line in self._orders:
            yield json.loads(line)

    def answer(self, **content: object) -> None:
        """Send an answer."""
        self._answers.write(json.dumps(content) + "\n")
        self._answers.flush()


def _end_with(orders: int) -> None:
    poll = select.poll()
    poll.register(orders, 0)  # nothing but the hang-up, which cannot be left out
    poll.poll()
    sys.stderr.flush()
    os._exit(1)
