"""One owner for one run: the lock of a run that is being made.

The lock is the file ``OUT.partial/owner.json``. Its owner holds it locked (flock), which the system
lets go of when the process ends, however it ends; its content says who that is: the machine, the
number of the process, and when the process began, since numbers are given again. A file that nobody
holds is of an owner that died and is taken over, unless its owner is on another machine, of which
nothing can be known here.
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
    """The right to make a run; a context, which refuses a second owner at once.

    Args:
        out: The run folder to be.

    Raises:
        RunError: on entering, where another process makes the run.
        OSError: the folder beside ``out`` cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folder = out.with_name(out.name + ".partial")
        self._path = self._folder / FILE
        self._file: int | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        # What is there already is not made, and so needs no owner.
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
        """The file."""
        return self._path

    def acquire(self) -> None:
        """Become the owner, unless this is already."""
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
        """Give the right up; folders in which nothing is left are removed."""
        if self._file is None:
            return
        if self.holds():
            self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = None
        with suppress(OSError):  # something is kept there
            for folder in dict.fromkeys([self._folder, *self._made]):
                folder.rmdir()

    def _open(self) -> int:
        """The file, locked."""
        for _ in range(_TRIES):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            except FileNotFoundError:  # its last owner has just removed the folder
                continue
            if not _lock(file):
                owner = _read(file)
                os.close(file)
                if owner is None:  # which has not yet said who it is
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
    """The folder and those above it that are not there yet, the innermost first."""
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
    except OSError:  # a file system without locks: what stands in the file decides
        return True
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (os.fstat(file).st_dev, os.fstat(file).st_ino)


def _read(file: int) -> dict[str, object] | None:
    """Who stands in the file; None where nobody does, or what stands there says nothing."""
    try:
        found = parse_json(os.pread(file, _LARGEST, 0))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _may_live(owner: dict[str, object]) -> bool:
    """Whether an owner that does not hold the file may still be at work."""
    if owner.get("host") != socket.gethostname():
        return True
    pid = owner.get("pid")
    return type(pid) is int and pid > 0 and identity(pid) == owner.get("identity")
