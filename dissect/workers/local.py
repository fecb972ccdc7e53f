"""A crew of processes on this machine, which read orders from pipes."""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from dissect.workers.crew import Answer

_ROOT = Path(__file__).resolve().parents[2]
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_PATIENCE = 10.0  # seconds that a process has to end by itself


def usable_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalCrew:
    """Some local processes that run the same module; a ``Crew``.

    Args:
        module: Module to run with ``python -m``; it uses ``dissect.workers.channel``.
        greeting: The first order of each process; the number of threads is added.
        n_workers: Number of processes.
        n_threads: Number of threads of each.

    Attributes:
        folder: Folder of the files of orders and answers, which the processes use themselves.
    """

    def __init__(
        self, module: str, greeting: Mapping[str, object], *, n_workers: int, n_threads: int
    ) -> None:
        self._module, self._n_threads = module, n_threads
        self._greetings: list[dict[str, object]] = [{**greeting, "threads": n_threads}]
        self.folder: Path | None = None
        self._selector = selectors.DefaultSelector()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._read: dict[int, bytes] = {}
        self._n_started = 0
        self._wanted = n_workers

    @property
    def n_wanted(self) -> int:
        """Intended number of processes."""
        return self._wanted

    @property
    def n_here(self) -> int:
        """Number of processes among which this machine's memory is divided."""
        return self._wanted

    @property
    def workers(self) -> list[int]:
        """Numbers of the live processes; numbers are never reused."""
        return list(self._processes)

    def refill(self) -> None:
        """Start processes until the intended number is reached."""
        while len(self._processes) < self._wanted:
            self._start()

    def _start(self) -> None:
        number, self._n_started = self._n_started, self._n_started + 1
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        environment |= dict.fromkeys(_THREADS, str(self._n_threads))
        process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        self._processes[number], self._read[number] = process, b""
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, number)
        for greeting in self._greetings:
            self.send(number, **greeting)

    def tell_all(self, **order: object) -> None:
        """Send an order to all processes, and to those started later."""
        self._greetings.append(order)
        for worker in self.workers:
            self.send(worker, **order)

    def send(self, worker: int, **order: object) -> None:
        """Send an order; for a dead process it is lost, and ``answers`` reports the end."""
        stdin = self._processes[worker].stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(order).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            pass

    def answers(self, seconds: float) -> Iterator[tuple[int, Answer | None]]:
        """Answers that arrive until the time has passed or something arrived.

        Args:
            seconds: Time to wait for the first answer.

        Yields:
            A worker and its answer; None if it ended, after which it is dismissed.
        """
        for key, _ in self._selector.select(seconds):
            worker = int(key.data)
            content = cast("IO[bytes]", key.fileobj).read()
            if content is None:
                continue
            *lines, self._read[worker] = (self._read[worker] + content).split(b"\n")
            for line in lines:
                yield worker, json.loads(line)
            if not content:
                self.dismiss(worker)
                yield worker, None

    def dismiss(self, worker: int) -> None:
        """End a process, by force if it does not end by itself."""
        process = self._processes.pop(worker, None)
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        self._selector.unregister(process.stdout)
        process.kill()
        process.wait(_PATIENCE)
        process.stdin.close()
        process.stdout.close()

    def __enter__(self) -> Self:
        self.refill()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            self.dismiss(worker)
        self._selector.close()
