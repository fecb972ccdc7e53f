"""Measurements that run as processes of their own, and what they say of their progress.

Each is ``dissect ablate``, ``insert`` or ``context`` with a name; its result is an effect in the
folder of the run. A registry in memory: a measurement outlives a reload of the page, and is stopped
with the app.
"""

import atexit
import os
import re
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dissect.errors import ConfigError

_KINDS = ("ablate", "insert", "context")
_ORDERS = ("iou", "excess", "sweep", "greedy")
_NAME = re.compile(r"[\w@+-][\w@+.-]{0,99}", re.ASCII)
_MOST = 2  # at once
_TAIL = 2000  # bytes of the log in which progress is looked for


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be measured, as the command line has it.

    Args:
        kind: ``ablate``, ``insert`` or ``context``.
        concept: Whose pixels should go, or come.
        name: Of the effect.
        units: How many.
        samples: How many.
        order: Which units.
        layer: None takes the one whose units tell most of the concept.
        curve: Also the effect against the number of units; contexts have none.

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

    def __post_init__(self) -> None:
        if self.kind not in _KINDS or self.order not in _ORDERS:
            raise ConfigError(
                f"kind is {str(self.kind)[:40]!r}, order {str(self.order)[:40]!r}; expected one of "
                f"{', '.join(_KINDS)} and one of {', '.join(_ORDERS)}"
            )
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"name is {str(self.name)[:40]!r}; expected letters, digits and any of - _ . +"
            )
        if not isinstance(self.curve, bool):
            raise ConfigError(f"curve is {str(self.curve)[:40]!r}; expected true or false")
        for field, least, most in (("units", 1, 4096), ("samples", 2, 100_000)):
            value = getattr(self, field)
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(
                    f"{field} is {str(value)[:40]}; expected a whole number from {least} to {most}"
                )

    def arguments(self, run: Path) -> list[str]:
        """What the command line is given; no value can be taken for an option."""
        options = {"units": self.units, "samples": self.samples, "order": self.order}
        options |= {"name": self.name, "concept": self.concept}
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
        running: Whether it still works.
        told: Its last line.
        failed: Whether it ended without a result.
    """

    name: str
    running: bool
    told: str
    failed: bool = False


class Measurements:
    """The measurements of an app. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[tuple[str, str], tuple[subprocess.Popen, IO[bytes]]] = {}
        atexit.register(self.close)

    def start(self, run: Path, question: Question) -> None:
        """Begin to measure.

        Raises:
            ConfigError: too many at once, or one of that name.
        """
        key = (str(run), question.name)
        with self._lock:
            live = [one for one, (process, _) in self._all.items() if process.poll() is None]
            if key in live:
                raise ConfigError(f"{question.name!r} is being measured already; wait or stop it")
            if len(live) >= _MOST:
                raise ConfigError(f"{_MOST} measurements are going on; wait for one or stop it")
            self._forget(key)
            log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is forgotten
            process = subprocess.Popen(
                [sys.executable, "-m", "dashboard.leash", *question.arguments(run)],
                stdin=subprocess.PIPE, stdout=log, stderr=log,
                cwd=Path(__file__).resolve().parents[2],
                start_new_session=True,
            )  # fmt: skip
            self._all[key] = (process, log)

    def progress(self, run: Path) -> list[Progress]:
        """All measurements of a run, in the order in which they began."""
        with self._lock:
            own = [(name, *held) for (place, name), held in self._all.items() if place == str(run)]
        return [_progress(name, process, log) for name, process, log in own]

    def stop(self, run: Path, name: str) -> None:
        """Stop one; nothing of it is kept."""
        with self._lock:
            held = self._all.get((str(run), name))
        if held is not None and held[0].poll() is None:
            held[0].terminate()

    def close(self) -> None:
        """Stop all."""
        with self._lock:
            for key in list(self._all):
                self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        if key in self._all:
            process, log = self._all.pop(key)
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdin.close()
            log.close()


def _progress(name: str, process: subprocess.Popen, log: IO[bytes]) -> Progress:
    running = process.poll() is None
    try:
        # Progress bars write over one line; a position of its own leaves the process's alone.
        size = os.fstat(log.fileno()).st_size
        text = os.pread(log.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace")
    except (OSError, ValueError):
        text = ""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    told = lines[-1][-200:] if lines else "begins …"
    if not running:
        failed = next((line for line in reversed(lines) if line.startswith("dissect")), told)
        told = "measured" if process.returncode == 0 else failed[:300]
        if process.returncode and process.returncode < 0:
            told = "stopped; nothing was stored"
    return Progress(name, running, told, failed=not running and process.returncode != 0)
