"""The runs of a folder: found by name, opened once, looked up by id.

An id is the folder's name if that is a plain word, otherwise a slug of it with a part of its
digest. An address is never joined to a path: ids are keys of an index of the existing folders.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dashboard.paths import within
from dissect.errors import DissectError, RunError
from dissect.runs import Run, open_run, schema
from dissect.runs.record import read_record

Known = TypeVar("Known")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LOST = "no such run is there: it was moved or deleted, or the address is mistyped"


class UnknownRunError(RunError):
    """An id without a run."""


@dataclass(frozen=True)
class Entry:
    """A folder that is a run, was one, or will be one.

    Attributes:
        id: Id in addresses.
        path: The folder.
        record: Content of run.json; {} if it cannot be read.
        problem: Why it cannot be opened, in one line; "" if no problem is known.
    """

    id: str
    path: Path
    record: dict
    problem: str = ""

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True, eq=False)
class OpenRun:
    """An opened run.

    Attributes:
        id: Id in addresses.
        run: Its content.
    """

    id: str
    run: Run
    _known: dict[object, Any] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def once(self, name: object, compute: Callable[[], Known]) -> Known:
        """Compute a value under a name once; cached until the run is closed or changes."""
        with self._lock:
            if name not in self._known:
                self._known[name] = compute()
            return self._known[name]

    @property
    def name(self) -> str:
        return self.run.path.name


def run_id(name: str) -> str:
    """The id of a folder's name: letters, digits and any of . _ -"""
    if _PLAIN.fullmatch(name):
        return name
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "run"
    return f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class RunStore:
    """The runs of a folder. Threads may share it.

    Args:
        folder: A folder of runs, or one run.
        most_open: Largest number of open runs; the least recently used one is closed first.
    """

    def __init__(self, folder: str | Path, *, most_open: int = 8) -> None:
        self.folder = Path(folder)
        self._most_open = most_open
        self._open: OrderedDict[str, tuple[tuple, OpenRun]] = OrderedDict()
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}

    @property
    def root(self) -> Path:
        """The folder that contains the runs, also if ``folder`` itself is a run."""
        is_run = (self.folder / schema.RUN_FILE).is_file()
        return self.folder.resolve().parent if is_run else self.folder

    def entries(self) -> list[Entry]:
        """All runs, by name; scans the folder on each call."""
        return [_entry(name, path) for name, path in sorted(self._index().items())]

    def open(self, name: str) -> OpenRun:
        """The run of an id.

        Raises:
            UnknownRunError: no run has this id.
            RunError: a damaged one, or one of a newer version.
        """
        path = self._index().get(name)
        if path is None:
            raise UnknownRunError(f"{name!r}: {_LOST}; the list of runs shows what there is")
        stamp = _stamp(path)
        with self._lock:
            lock = self._opening.setdefault(name, threading.Lock())
        with lock:
            with self._lock:
                known = self._open.get(name)
                if known is not None and known[0] == stamp:
                    self._open.move_to_end(name)
                    return known[1]
            opened = OpenRun(name, open_run(path))
            with self._lock:
                self._open[name] = (stamp, opened)
                self._open.move_to_end(name)
                while len(self._open) > self._most_open:
                    self._open.popitem(last=False)
            return opened

    def _index(self) -> dict[str, Path]:
        if (self.folder / schema.RUN_FILE).is_file():
            return {run_id(self.folder.resolve().name): self.folder.resolve()}
        try:
            folders = sorted(path for path in self.folder.iterdir() if path.is_dir())
        except OSError:
            return {}
        found = [path for path in folders if (path / schema.RUN_FILE).is_file()]
        return {run_id(path.name): path for path in found if not path.name.startswith(".")}


def _stamp(path: Path) -> tuple[int, int, int]:
    """Changes when another run replaces this one."""
    try:
        found = (path / schema.RUN_FILE).stat()
    except OSError as error:
        raise UnknownRunError(f"{path.name!r}: {_LOST}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def _entry(name: str, path: Path) -> Entry:
    try:
        return Entry(name, path, read_record(path))
    except DissectError as error:
        return Entry(name, path, {}, within(str(error), path.parent))
