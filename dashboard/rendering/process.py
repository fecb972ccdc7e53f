"""The server's side of a worker: starts it, sends one question at a time, reports its death.

Of the waiting questions of a view (for example one browser tab), the latest wins: an older one that
has not begun gets ``SupersededError`` at once.
"""

import itertools
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from dashboard import child_process
from dashboard.rendering.frames import Frame, FrameError, pack, read
from dissect.errors import DissectError

_START_SECONDS = 180.0
ASK_SECONDS = 300.0
_END_SECONDS = 10.0  # for a worker that closed its pipe to end, and for its last words
_REMEMBERED = 20.0
"""Seconds without a new start after a worker could not start; its error is repeated."""


class RenderError(DissectError):
    """The worker cannot answer; the message gives the reason, in one line."""


class SupersededError(DissectError):
    """A later question of the same view has come, so this answer is not needed."""


_ORDERS = itertools.count(1)


def next_order() -> int:
    """A number larger than all before; the latest question of a view has the largest one."""
    return next(_ORDERS)


class Process:
    """A worker for one run. Threads may share it; the first question starts it.

    Args:
        run: Folder of the run.
        generator: Current place of its generator; None: the run's own spec.
        module: Module to run as the worker.
    """

    def __init__(
        self,
        run: Path,
        *,
        generator: str | None = None,
        module: str = "dashboard.rendering.worker",
    ) -> None:
        self._module = module
        self._given = [str(run), *([] if generator is None else [generator])]
        self._turn = threading.Condition()
        self._waiting: dict[int, tuple[str, int]] = {}  # ticket → view and order, as they came
        self._busy = False
        self._closed = False
        self._n_tickets = 0
        self._child: subprocess.Popen | None = None
        self._last_words: deque[str] = deque(maxlen=8)
        self._listener: threading.Thread | None = None
        self._failure = ("", 0.0)

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if there is one."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    @property
    def busy(self) -> bool:
        """Whether a question is running or waiting."""
        with self._turn:
            return self._busy or bool(self._waiting)

    def ask(
        self,
        question: Mapping[str, object],
        parts: Sequence[bytes] = (),
        *,
        view: str,
        order: int | None = None,
        seconds: float = ASK_SECONDS,
    ) -> Frame:
        """Send a question and wait for its answer.

        Args:
            question: Plain values; ``ask`` is the kind of question.
            parts: Files with it.
            view: The waiting view.
            order: See ``next_order``; several questions of one answer share a number, taken before
                the first one. None means the latest.
            seconds: Time after which the worker counts as hung and is killed.

        Raises:
            SupersededError: a later question of the same view came before this one started.
            RenderError: the worker could not start, it died, or the question was wrong.
        """
        data = pack(question, parts)
        self._wait_for_turn(view, next_order() if order is None else order)
        try:
            child = self._started()
            answer = self._exchange(child, data, seconds)
        finally:
            with self._turn:
                self._busy = False
                self._turn.notify_all()
        if "problem" in answer.content:
            raise RenderError(str(answer.content["problem"]))
        return answer

    def close(self) -> None:
        """Stop the worker after its current question."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._busy, timeout=ASK_SECONDS)
            self._stop()

    def kill(self) -> None:
        """End the worker at once; a waiting caller gets an error."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
            child = self._child
            if not self._busy:
                self._stop()
            elif child is not None:
                child.kill()  # the waiting caller notices, and cleans up

    def _wait_for_turn(self, view: str, order: int) -> None:
        with self._turn:
            self._n_tickets += 1
            ticket = self._n_tickets
            same = {one: at for one, (who, at) in self._waiting.items() if who == view}
            if any(at > order for at in same.values()):
                raise SupersededError("a later question of the same view waits already")
            for older in same:
                del self._waiting[older]
            self._waiting[ticket] = view, order
            self._turn.notify_all()
            self._turn.wait_for(
                lambda: (
                    self._closed
                    or ticket not in self._waiting
                    or (not self._busy and next(iter(self._waiting)) == ticket)
                )
            )
            if self._closed:
                self._waiting.pop(ticket, None)
                raise RenderError("the renderer was stopped to make room; ask again")
            if ticket not in self._waiting:
                raise SupersededError("a later question of the same view took its place")
            del self._waiting[ticket]
            self._busy = True

    def _started(self) -> subprocess.Popen:
        if self._child is not None and self._child.poll() is None:
            return self._child
        reason, until = self._failure
        if time.monotonic() < until:
            raise RenderError(reason)
        self._stop()
        self._last_words.clear()
        environment = child_process.environment() | {
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
        }
        child = subprocess.Popen(
            [sys.executable, "-m", self._module, *self._given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the server, which closes the pipe
        )
        self._child = child
        self._listener = threading.Thread(
            target=_listen, args=(child.stderr, self._last_words), daemon=True
        )
        self._listener.start()
        ready = self._read(child, _START_SECONDS)
        if "problem" in ready.content:
            reason = str(ready.content["problem"])
            self._failure = (reason, time.monotonic() + _REMEMBERED)
            self._stop()
            raise RenderError(reason)
        return child

    def _exchange(self, child: subprocess.Popen, data: bytes, seconds: float) -> Frame:
        try:
            given, _ = _pipes(child)
            given.write(data)
            given.flush()
        except OSError:
            raise self._died(child) from None
        return self._read(child, seconds)

    def _read(self, child: subprocess.Popen, seconds: float) -> Frame:
        limit = time.monotonic() + seconds
        source = _pipes(child)[1].fileno()

        def take(n_bytes: int) -> bytes:
            pieces = []
            while n_bytes:
                left = limit - time.monotonic()
                if left <= 0 or not select.select([source], [], [], left)[0]:
                    raise TimeoutError
                piece = os.read(source, min(n_bytes, 1 << 20))
                if not piece:
                    raise EOFError
                pieces.append(piece)
                n_bytes -= len(piece)
            return b"".join(pieces)

        try:
            return read(take)
        except TimeoutError:
            self._stop()
            raise RenderError(
                f"the renderer did not answer within {seconds:.0f} s and was stopped; the next "
                "request starts it again"
            ) from None
        except (EOFError, OSError, FrameError):
            raise self._died(child) from None

    def _died(self, child: subprocess.Popen) -> RenderError:
        try:
            status = child.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        if self._listener is not None:
            self._listener.join(timeout=_END_SECONDS)  # the last line may not have been read yet
        self._stop()
        if status is not None and status < 0:
            why = f"killed by signal {-status}" + (
                ", perhaps for its memory" if status == -9 else ""
            )
        else:
            words = [line for line in self._last_words if line.strip()]
            why = words[-1].strip()[:200] if words else f"exit status {status}"
        return RenderError(f"the renderer stopped ({why}); the next request starts it again")

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in _pipes(child):
            try:
                pipe.close()
            except OSError:
                continue  # the rest to be sent has no reader any more


def _pipes(child: subprocess.Popen) -> tuple[IO[bytes], IO[bytes]]:
    """The worker's streams for questions and answers."""
    assert child.stdin is not None  # both are pipes, see ``_start``
    assert child.stdout is not None
    return child.stdin, child.stdout


def _listen(errors: IO[bytes], last_words: deque[str]) -> None:
    """Keep the last lines of a worker's stderr; a pipe without a reader would fill up."""
    with errors:
        for line in errors:
            last_words.append(line.decode(errors="replace"))
