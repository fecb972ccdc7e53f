"""The lock of a run in progress: only one process may make a run.

The lock is the file ``OUT.partial/owner.json``. Its owner keeps it locked (flock); the system
releases the lock when the process ends for any reason. Its content identifies the owner: the
machine, the process number, and the start time of the process, because numbers are reused. A file
that is not locked belongs to a dead owner and is taken over, unless its owner is on another
machine, whose processes cannot be checked from here.
"""

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from dissect.errors import RunError
from dissect.processes import identity
from segmenters.plain_text import one_line
from segmenters.received import parse_json

FILE = "owner.json"
_TRIES = 100
_PAUSE = 0.02  # seconds
_LARGEST = 4096  # bytes


class RunLock:
    """The right to make a run, as a context manager; a second owner gets an error at once.

    Args:
        out: The future run folder.

    Raises:
        RunError: on entering, if another process makes the run.
        OSError: the folder beside ``out`` cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folder = out.with_name(out.name + ".partial")
        self._path = self._folder / FILE
        self._file: int | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        # A run that exists already needs no owner.
        if not self._out.exists() or (self._out.is_dir() and not any(self._out.iterdir())):
            self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def path(self) -> Path:
        """The lock file."""
        return self._path

    def acquire(self) -> None:
        """Become the owner; does nothing for the current owner."""
        if self._file is not None:
            return
        made = _missing(self._folder)
        file = self._open()
        owner = _read(file)
        if owner is not None and _may_live(owner):
            os.close(file)
            raise self._refusal(owner)
        about = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "identity": identity(os.getpid()),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(about).encode(), 0)
        self._file, self._made = file, made

    def holds(self) -> bool:
        """Whether this is still the owner: the file was not deleted or replaced."""
        return self._file is not None and _is_at(self._file, self._path)

    def release(self) -> None:
        """Release the lock; removes folders that are empty then."""
        if self._file is None:
            return
        if self.holds():
            self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = None
        with suppress(OSError):  # the folder is not empty
            for folder in dict.fromkeys([self._folder, *self._made]):
                folder.rmdir()

    def _open(self) -> int:
        """Open and lock the file."""
        for _ in range(_TRIES):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            except FileNotFoundError:  # its last owner has just removed the folder
                continue
            if not _lock(file):
                owner = _read(file)
                os.close(file)
                if owner is None:  # it has not written its identity yet
                    time.sleep(_PAUSE)
                    continue
                raise self._refusal(owner)
            if _is_at(file, self._path):
                return file
            os.close(file)  # its last owner has just removed it
        raise self._refusal({})

    def _refusal(self, owner: dict[str, object]) -> RunError:
        who = f"process {owner.get('pid')} on {owner.get('host')}, since {owner.get('since')}"
        who = one_line(who)[:200] if owner else "another process"
        return RunError(
            f"{self._out} is being made by {who}; expected one process for one run; wait for it, "
            f"or choose another --out (if that process is gone, delete {self._path})"
        )


def _missing(folder: Path) -> list[Path]:
    """The folder and its parents that do not exist yet, the innermost first."""
    found = []
    for one in (folder, *folder.parents):
        if one.exists():
            break
        found.append(one)
    return found


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the content of the file decides
        return True
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (os.fstat(file).st_dev, os.fstat(file).st_ino)


def _read(file: int) -> dict[str, object] | None:
    """The owner in the file; None if the file is empty or invalid."""
    try:
        found = parse_json(os.pread(file, _LARGEST, 0))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _may_live(owner: dict[str, object]) -> bool:
    """Whether an owner that does not hold the lock may still be running."""
    if owner.get("host") != socket.gethostname():
        return True
    pid = owner.get("pid")
    return type(pid) is int and pid > 0 and identity(pid) == owner.get("identity")
