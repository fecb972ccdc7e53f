"""The worker's side: orders come from stdin, answers go to the original stdout.

A worker ends at once, during any task, when the other end of its stdin is closed. The system closes
it even if the controlling process was killed.
"""

import json
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

from dissect.errors import DissectError


class Channel:
    """Orders and answers of this process. Other output to stdout goes to stderr."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the controlling process handles Ctrl-C
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._orders = os.fdopen(os.dup(0), "r")
        threading.Thread(target=_end_with, args=(self._orders.fileno(),), daemon=True).start()

    def orders(self) -> Iterator[dict[str, Any]]:
        """Iterate over the orders until there are no more."""
        for line in self._orders:
            yield json.loads(line)

    def answer(self, **content: object) -> None:
        """Send an answer."""
        self._answers.write(json.dumps(content) + "\n")
        self._answers.flush()


def describe_error(error: Exception) -> dict[str, str]:
    """The answer for an error: a user's mistake, or a fault with its traceback."""
    if isinstance(error, DissectError):
        return {"mistake": str(error), "kind": type(error).__name__}
    return {"fault": "".join(traceback.format_exception(error))}


def _end_with(orders: int) -> None:
    poll = select.poll()
    poll.register(orders, 0)  # only the hang-up, which poll always reports
    poll.poll()
    sys.stderr.flush()
    os._exit(1)
