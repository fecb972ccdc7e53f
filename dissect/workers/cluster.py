"""A crew of actors of Ray, on this machine or on many.

    with ray_crew("auto", "dissect.counting.worker", {}, wanted="auto", most=40) as crew:
        ...

Ray places an actor where a processor or a GPU is free, and tells when one died, alone or with its
machine. An actor that waits for a free place takes no orders; the others go on without it.

Ray sends arguments and results between its processes as pickles. These are orders and answers of
this package (short JSON) and bytes of files; a file of a user is never unpickled. Whoever can reach
the ports of a Ray cluster can run code on it.
"""

import itertools
import logging
import math
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from dissect.errors import SettingError
from dissect.progress import ProgressBar
from dissect.workers.actor import Actor, read_files, write_files
from dissect.workers.crew import Answer
from dissect.workers.local import usable_cores
from segmenters.plain_text import one_line

LOCAL, AUTO = "local", "auto"
_PATIENCE = 10.0  # seconds that an address has to answer, and an actor to end by itself
_LONG = 60.0  # seconds without any worker, after which a message says so
_PORT = 6379  # default of Ray


@dataclass(frozen=True)
class Places:
    """Division of a cluster among workers.

    Attributes:
        n_workers: Number of workers.
        n_threads: Number of threads of each.
        cores, gpus: Resources that each one reserves.
    """

    n_workers: int
    n_threads: int
    cores: float
    gpus: float


def divide(
    machines: Sequence[Mapping[str, float]], *, wanted: int | str, most: int, gpus: bool
) -> Places:
    """Divide the resources of a cluster among workers.

    Args:
        machines: Resources of each machine: ``CPU`` and ``GPU``.
        wanted: Number of workers, or ``"auto"``: one for each core, or for each GPU.
        most: Largest useful number.
        gpus: Whether workers compute on GPUs.
    """
    cores = [int(machine.get("CPU", 0)) for machine in machines]
    n_gpus = int(sum(machine.get("GPU", 0) for machine in machines)) if gpus else 0
    every = n_gpus if gpus else sum(cores)
    n_workers = max(1, min(every if wanted == AUTO else int(wanted), most))
    # The most threads with which all workers have a place on some machine.
    fitting = (
        threads
        for threads in range(max(cores, default=1), 0, -1)
        if sum(own // threads for own in cores) >= n_workers
    )
    n_threads = next(fitting, 0)
    shared = 1.0 if n_threads else 1 / math.ceil(n_workers / max(1, sum(cores)))
    return Places(
        n_workers,
        max(1, n_threads),
        cores=n_threads or shared,
        gpus=1 / math.ceil(n_workers / n_gpus) if n_gpus else float(gpus),
    )


@contextmanager
def ray_crew(
    address: str,
    module: str,
    greeting: Mapping[str, object],
    *,
    wanted: int | str,
    most: int,
    gpus: bool = False,
) -> Iterator["RayCrew"]:
    """Connect to a cluster and start a crew on it.

    Args:
        address: ``HOST:PORT`` or ``ray://HOST:PORT`` of a cluster, ``"auto"`` for the one that this
            machine belongs to, ``"local"`` for a new one on this machine alone.
        module: Module of the workers; see ``Actor``.
        greeting: The first order of each worker; the number of threads is added.
        wanted, most, gpus: See ``divide``.

    Raises:
        SettingError: Ray is not installed, or no cluster answers at the address.
    """
    with _connection(address) as ray:
        machines = [one["Resources"] for one in ray.nodes() if one["Alive"]]
        places = divide(machines, wanted=wanted, most=most, gpus=gpus)
        with RayCrew(ray, module, greeting, places) as crew:
            yield crew


@contextmanager
def _connection(address: str) -> Iterator[Any]:
    """The module of Ray, connected."""
    if find_spec("ray") is None:
        raise SettingError(
            "cluster", "needs Ray, which is not installed; pip install 'gan-dissection[cluster]'"
        )
    if address not in (LOCAL, AUTO):
        _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # sends nothing to anybody
    ray = import_module("ray")
    if ray.is_initialized():  # by the program that called; it stays its own
        yield ray
        return
    own = {"num_cpus": usable_cores(), "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(address, error) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Check that something listens at an address, since Ray itself waits long for it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        number = int(port) if host else _PORT
        socket.create_connection((host or port, number), _PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> SettingError:
    said = one_line(str(error))[:160] or type(error).__name__
    return SettingError(
        "cluster",
        f"is {address!r}, where no Ray cluster answers ({said}); expected HOST:PORT of one, 'auto' "
        "on a machine of one, or 'local'; start one with: ray start --head",
    )


class RayCrew:
    """Some actors that run the same module; a ``Crew``.

    Args:
        ray: The module of Ray, connected.
        module: Module of the workers; see ``Actor``.
        greeting: The first order of each worker; the number of threads is added.
        places: Number of workers and what each one reserves.

    Attributes:
        folder: Folder into which the files of answers are copied, and from which those of orders.
    """

    def __init__(
        self, ray: Any, module: str, greeting: Mapping[str, object], places: Places
    ) -> None:
        self.folder: Path | None = None
        self._ray, self._module, self._places = ray, module, places
        self._greetings: list[dict[str, object]] = [{**greeting, "threads": places.n_threads}]
        self._numbers = itertools.count()
        self._actors: dict[int, Any] = {}
        self._ready: set[int] = set()
        self._pending: dict[int, deque[Any]] = {}
        self._sent: dict[int, dict[str, tuple[int, int]]] = {}
        self._last_alive, self._complained = time.monotonic(), False

    @property
    def n_wanted(self) -> int:
        """Intended number of workers."""
        return self._places.n_workers

    @property
    def n_here(self) -> int:
        """Number of workers among which this machine's memory is divided: each has its own."""
        return 1

    @property
    def workers(self) -> list[int]:
        """Numbers of the workers that have loaded what they need."""
        return [worker for worker in self._actors if worker in self._ready]

    def refill(self) -> None:
        """Ask Ray for actors until the intended number is reached."""
        while len(self._actors) < self.n_wanted:
            self._start()

    def _start(self) -> None:
        number = next(self._numbers)
        kind = self._ray.remote(Actor).options(
            num_cpus=self._places.cores, num_gpus=self._places.gpus, max_restarts=0,
            max_task_retries=0, scheduling_strategy="SPREAD",
        )  # fmt: skip
        self._actors[number] = kind.remote(self._module)
        self._pending[number], self._sent[number] = deque(), {}
        for greeting in self._greetings:
            self.send(number, **greeting)

    def tell_all(self, **order: object) -> None:
        """Send an order to all workers, and to those started later."""
        self._greetings.append(order)
        for worker in self._actors:
            self.send(worker, **order)

    def send(self, worker: int, **order: object) -> None:
        """Send an order with the files that it needs, except those that the worker has."""
        fresh: list[str] = []
        for name in cast("Sequence[str]", order.get("needs", ())):
            assert self.folder is not None
            found = (self.folder / name).stat()
            version = (found.st_ino, found.st_mtime_ns)
            if self._sent[worker].get(name) != version:
                self._sent[worker][name] = version
                fresh.append(name)
        files = read_files(self.folder, fresh) if self.folder is not None else {}
        self._pending[worker].append(self._actors[worker].do.remote(order, files))

    def answers(self, seconds: float) -> Iterator[tuple[int, Answer | None]]:
        """Answers that arrive until the time has passed or something arrived; see ``Crew``."""
        self._watch()
        oldest = {own[0]: worker for worker, own in self._pending.items() if own}
        if not oldest:
            time.sleep(seconds)
            return
        found, _ = self._ray.wait(list(oldest), num_returns=1, timeout=seconds)
        if found:
            found, _ = self._ray.wait(list(oldest), num_returns=len(oldest), timeout=0)
        for result in found:
            worker = oldest[result]
            if worker in self._actors:
                self._pending[worker].popleft()
                yield from self._receive(worker, result)

    def _receive(self, worker: int, result: Any) -> Iterator[tuple[int, Answer | None]]:
        try:
            answer, files = self._ray.get(result)
        except self._ray.exceptions.RayError as error:  # the actor, its machine, or its result
            answer, files = {"fault": str(error)}, {}
        if files:
            assert self.folder is not None
            write_files(self.folder, files)
        if "fault" not in answer:
            self._ready.add(worker)
            yield worker, answer
            return
        yield worker, answer
        self.dismiss(worker)
        yield worker, None

    def _watch(self) -> None:
        """Say once that no worker has a place on the cluster for a long time."""
        now = time.monotonic()
        if self.workers:
            self._last_alive, self._complained = now, False
        elif now - self._last_alive > _LONG and not self._complained:
            self._complained = True
            ProgressBar.write(
                f"dissect: no worker is at work after {_LONG:.0f} s: they load their models, or "
                f"wait for free {'GPUs' if self._places.gpus else 'cores'} on the cluster; Ctrl-C "
                "ends, and --resume continues",
                file=sys.stderr,
            )

    def dismiss(self, worker: int) -> None:
        """End a worker by force."""
        actor = self._actors.pop(worker, None)
        self._pending.pop(worker, None)
        self._sent.pop(worker, None)
        self._ready.discard(worker)
        if actor is not None:
            with suppress(Exception):  # it may be dead, or the cluster
                self._ray.kill(actor)

    def __enter__(self) -> Self:
        self.refill()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ends = [self._actors[worker].end.remote() for worker in self.workers]
        with suppress(Exception):  # the cluster may be gone
            if ends:
                self._ray.wait(ends, num_returns=len(ends), timeout=_PATIENCE)
        for worker in list(self._actors):
            self.dismiss(worker)
