"""Workers of the most recently used runs, and a cache of their answers.

An answer is a pure function of its question and the run, so a repeated question is answered from
the cache, whose size in bytes is limited. The number of workers is limited: each one holds a
generator.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from dashboard.rendering.frames import Frame
from dashboard.rendering.process import ASK_SECONDS, Process, RenderError, SupersededError
from dissect.errors import RunError

__all__ = ["AnswerCache", "RenderError", "Renderers", "SupersededError"]

MOST_WORKERS = 2
MOST_BYTES = 64 * 1024 * 1024
_OVERHEAD = 1024  # bytes of an entry without its parts


class AnswerCache:
    """The latest answers, up to a number of bytes. Threads may share it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, tuple[Frame, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.n_bytes = 0

    def get(self, key: str) -> Frame | None:
        """The answer, if it is still cached."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: str, answer: Frame) -> None:
        """Store an answer; removes the least recently used ones if needed."""
        size = _OVERHEAD + sum(len(part) for part in answer.parts)
        size += len(json.dumps(answer.content))
        with self._lock:
            self._drop(key)
            if size > self._most:
                return
            self._kept[key] = (answer, size)
            self.n_bytes += size
            while self.n_bytes > self._most:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        if key in self._kept:
            self.n_bytes -= self._kept.pop(key)[1]


class Renderers:
    """Sends questions to the worker of a run, which is started if needed.

    Args:
        most_workers: Largest number of workers; the least recently used one is stopped first.
        most_bytes: Largest size of the cached answers.
    """

    def __init__(self, *, most_workers: int = MOST_WORKERS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_workers
        self._workers: OrderedDict[tuple[str, str, str | None], Process] = OrderedDict()
        self._answers = AnswerCache(most_bytes)
        self._lock = threading.Lock()

    def ask(
        self,
        run: Path,
        fingerprint: str,
        question: Mapping[str, object],
        parts: Sequence[bytes] = (),
        *,
        view: str,
        order: int | None = None,
        seconds: float = ASK_SECONDS,
        generator: str | None = None,
    ) -> Frame:
        """An answer from memory or from the run's worker.

        Args:
            run: Folder of the run.
            fingerprint: Fingerprint of the run; another run in the same place gets another worker.
            question: Plain values; see ``answers``.
            parts: Files with it.
            view, order, seconds: The waiting view, the number of the question, and how long to
                wait; see ``Process.ask``.
            generator: Current place of the run's generator; None: the run's own spec.

        Raises:
            SupersededError, RenderError: see ``Process.ask``.
        """
        key = _key(run, f"{fingerprint} {generator or ''}", question, parts)
        known = self._answers.get(key)
        if known is not None:
            return known
        answer = self._worker(run, fingerprint, generator).ask(
            question, parts, view=view, order=order, seconds=seconds
        )
        if not answer.content.get("fleeting"):
            self._answers.put(key, answer)
        return answer

    def pids(self) -> list[int]:
        """Process ids of the live workers."""
        with self._lock:
            return [one.pid for one in self._workers.values() if one.pid is not None]

    def close(self) -> None:
        """Stop every worker at once."""
        with self._lock:
            workers = list(self._workers.values())
            self._workers.clear()
        for worker in workers:
            worker.kill()

    def _worker(self, run: Path, fingerprint: str, generator: str | None) -> Process:
        place = (str(run), fingerprint, generator)
        stale: list[Process] = []
        with self._lock:
            if place not in self._workers:
                if not run.is_dir():
                    raise RunError(f"{run.name} is gone: it was moved or deleted; reload the page")
                self._workers[place] = Process(run, generator=generator)
            self._workers.move_to_end(place)
            while len(self._workers) > self._most:
                stale.append(self._workers.popitem(last=False)[1])
            found = self._workers[place]
        for worker in stale:  # before the new one loads its models
            worker.close()
        return found


def _key(
    run: Path, fingerprint: str, question: Mapping[str, object], parts: Sequence[bytes]
) -> str:
    digest = hashlib.sha256(json.dumps([str(run), fingerprint, question], sort_keys=True).encode())
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
