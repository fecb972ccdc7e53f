"""Measurements that run as processes of their own, and what they say of their progress.

Each is ``dissect ablate``, ``insert`` or ``context`` with a name; its result is an effect in the
folder of the run. A registry in memory: a measurement outlives a reload of the page, and is stopped
with the app.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dashboard import leash
from dashboard.jobs import processes
from dashboard.paths import within
from dissect.errors import ConfigError
from dissect.progress import LINES, PROGRESS_VARIABLE, Stage, read_stage
from dissect.studies.summary import PICKED

_KINDS = ("ablate", "insert", "context")
_ORDERS = ("iou", "excess", "sweep", "greedy")
_NAME = re.compile(r"[\w@+-][\w@+.-]{0,99}", re.ASCII)
_MOST = 2  # at once
_MOST_UNITS = 4096
_TAIL = 4000  # bytes of the log in which progress is looked for
_PATIENCE = 10.0  # seconds between a stop that is asked for and a kill


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be measured, as the command line has it.

    Args:
        kind: ``ablate``, ``insert`` or ``context``.
        concept: Whose pixels should go, or come.
        name: Of the effect.
        units: How many.
        samples: How many.
        order: Which units; ``picked`` where ``picked`` names them.
        layer: None takes the one whose units tell most of the concept.
        curve: Also the effect against the number of units; contexts have none.
        picked: Units chosen by hand, which need a layer; ``units`` is not looked at then.

    Raises:
        ConfigError: a field of another type or out of its range.
    """

    kind: str
    concept: str
    name: str
    units: int = 20
    samples: int = 200
    order: str = "iou"
    layer: str | None = None
    curve: bool = False
    picked: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        orders = [PICKED] if self.picked else _ORDERS
        if self.kind not in _KINDS or self.order not in orders:
            raise ConfigError(
                f"kind is {str(self.kind)[:40]!r}, order {str(self.order)[:40]!r}; expected one of "
                f"{', '.join(_KINDS)} and one of {', '.join(orders)}"
            )
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"name is {str(self.name)[:40]!r}; expected letters, digits and any of - _ . +"
            )
        if len(self.picked) > _MOST_UNITS:
            raise ConfigError(
                f"{len(self.picked)} units are chosen by hand; expected at most {_MOST_UNITS}"
            )
        if self.picked and self.layer is None:
            raise ConfigError("units are chosen by hand but no layer is; choose theirs")
        if not isinstance(self.curve, bool):
            raise ConfigError(f"curve is {str(self.curve)[:40]!r}; expected true or false")
        for field, least, most in (("units", 1, _MOST_UNITS), ("samples", 2, 100_000)):
            value = getattr(self, field)
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(
                    f"{field} is {str(value)[:40]}; expected a whole number from {least} to {most}"
                )

    def arguments(self, run: Path) -> list[str]:
        """What the command line is given; no value can be taken for an option."""
        options: dict[str, object] = {"units": self.units, "order": self.order}
        if self.picked:
            options = {"pick": ",".join(map(str, self.picked))}
        options |= {"samples": self.samples, "name": self.name, "concept": self.concept}
        if self.layer is not None:
            options["layer"] = self.layer
        if self.curve and self.kind != "context":
            options["curve"] = self.order
        return [
            self.kind,
            *[f"--{name}={value}" for name, value in options.items()],
            "--",
            str(run),
        ]


@dataclass(frozen=True)
class Progress:
    """How far a measurement is.

    Attributes:
        name: Of the effect.
        state: ``running``, ``stopping``, ``measured``, ``stopped`` or ``failed``.
        told: Why it failed, in one line; else "".
        stage: What it is at; None before the first and after the end.
    """

    name: str
    state: str
    told: str = ""
    stage: Stage | None = None

    @property
    def running(self) -> bool:
        return self.state in ("running", "stopping")


@dataclass(eq=False)
class _Held:
    """A process, what it says, and whether somebody stopped it."""

    process: subprocess.Popen
    log: IO[bytes]
    identity: str
    stopped: bool = False

    @property
    def running(self) -> bool:
        return self.process.poll() is None


class Measurements:
    """The measurements of an app. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[tuple[str, str], _Held] = {}

    def start(self, run: Path, question: Question) -> None:
        """Begin to measure.

        Raises:
            ConfigError: too many at once, or one of that name.
        """
        key = (str(run), question.name)
        with self._lock:
            live = [one for one, held in self._all.items() if held.running]
            if key in live:
                raise ConfigError(f"{question.name!r} is being measured already; wait or stop it")
            if len(live) >= _MOST:
                raise ConfigError(f"{_MOST} measurements are going on; wait for one or stop it")
            self._forget(key)
            log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is forgotten
            process = subprocess.Popen(
                [sys.executable, "-m", "dashboard.leash", *question.arguments(run)],
                stdin=subprocess.PIPE, stdout=log, stderr=log,
                env=leash.environment() | {PROGRESS_VARIABLE: LINES},
                start_new_session=True,
            )  # fmt: skip
            self._all[key] = _Held(process, log, processes.identity(process.pid) or "ended")

    def progress(self, run: Path) -> list[Progress]:
        """All measurements of a run, in the order in which they began."""
        with self._lock:
            return [
                _progress(name, one, run.parent)
                for (path, name), one in self._all.items()
                if path == str(run)
            ]

    def stop(self, run: Path, name: str) -> None:
        """Stop one as Ctrl-C does; nothing of it is kept."""
        with self._lock:
            held = self._all.get((str(run), name))
            if held is not None and held.running:
                held.stopped = True
                processes.stop(held.process.pid, held.identity, patience=_PATIENCE)

    def close(self) -> None:
        """Stop all; what does not end within a second is killed."""
        with self._lock:
            for held in self._all.values():
                if held.running:
                    held.process.send_signal(signal.SIGINT)  # it clears away what it was writing
            end = time.monotonic() + 1
            for key in list(self._all):
                self._forget(key, patience=max(0, end - time.monotonic()))

    def _forget(self, key: tuple[str, str], *, patience: float = 0) -> None:
        """Let go of one that has ended, or has so many seconds left."""
        if key not in self._all:
            return
        held = self._all.pop(key)
        try:
            held.process.wait(patience)
        except subprocess.TimeoutExpired:
            held.process.kill()
            held.process.wait()
        held.process.stdin.close()
        held.log.close()


def _progress(name: str, held: _Held, folder: Path) -> Progress:
    running = held.running  # before its last word is read
    try:
        # A position of its own leaves the process's alone.
        size = os.fstat(held.log.fileno()).st_size
        text = os.pread(held.log.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace")
    except (OSError, ValueError):
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    stages = [stage for line in lines if (stage := read_stage(line)) is not None]
    if running:
        state = "stopping" if held.stopped else "running"
        return Progress(name, state, stage=stages[-1] if stages else None)
    if held.process.returncode == 0:
        return Progress(name, "measured")
    if held.stopped:
        return Progress(name, "stopped")
    words = [line for line in lines if read_stage(line) is None]
    own = [line for line in words if line.startswith("dissect: ")]
    told = (own or words or ["it ended without a word: killed, or out of memory"])[-1]
    return Progress(name, "failed", within(told.removeprefix("dissect: "), folder)[:400])
