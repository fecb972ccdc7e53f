"""Opens an sqlite file for one short use; reports errors in one line."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dissect.errors import RunError

_WAIT = 10.0  # seconds for another writer to finish
_LONGEST = 10.0  # seconds that one operation may take
_STEPS = 10_000  # instructions of sqlite's machine between two checks of the time
_LARGEST_VALUE = 1 << 20  # bytes; limit of a text that is read
_BESIDE = ("", "-journal", "-wal", "-shm")
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")
"""Ending of a journal that names a further file, which sqlite would open and delete. Notes have
no such journals (sqlite.org/fileformat.html, section 3; only transactions over several files create
them)."""


@contextmanager
def open_database(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Open a file, and close it after use. The caller begins transactions.

    Args:
        file: The file.
        mode: ``rw``, which also works for a read-only file; ``rwc`` creates a missing file.

    Raises:
        RunError: a file that is damaged, in use for too long, or cannot be written; a full disk.
    """
    database = None
    try:
        _check_place(file)
        address = f"{file.resolve().as_uri()}?mode={mode}"
        database = sqlite3.connect(address, uri=True, timeout=_WAIT, isolation_level=None)
        # A foreign file may hold views that never end, or endless values.
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
        database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        end = time.monotonic() + _WAIT + _LONGEST
        database.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        database.execute("PRAGMA trusted_schema = OFF")  # the file may come from somebody else
        yield database
    except (
        sqlite3.Error, OverflowError, ValueError, TypeError, MemoryError, OSError,
    ) as error:  # fmt: skip
        raise RunError(_message(file, error)) from error
    finally:
        if database is not None:
            database.close()


def _check_place(file: Path) -> None:
    """Raise an error if sqlite would read or write another file."""
    for ending in _BESIDE:
        path = file.with_name(file.name + ending)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise RunError(
                f"{path} is a link or no file; expected one that lies there; move it away"
            )
    try:
        with file.with_name(f"{file.name}-journal").open("rb") as journal:
            journal.seek(max(0, journal.seek(0, os.SEEK_END) - len(_NAMES_ANOTHER)))
            names_another = journal.read() == _NAMES_ANOTHER
    except FileNotFoundError:
        return
    if names_another:
        raise RunError(
            f"{file}-journal names another file, which would be deleted; expected what an "
            "interrupted note leaves; move it away"
        )


def _message(file: Path, error: Exception) -> str:
    words = " ".join(str(error).split())
    code = getattr(error, "sqlite_errorcode", None)
    low = None if code is None else code & 0xFF
    if low in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{file} cannot be written ({words}); make its folder writable to keep notes"
    if low in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{file} is in use by another program for more than {_WAIT:.0f} s; try again"
    if low == sqlite3.SQLITE_FULL:
        return f"{file} cannot grow: the disk is full; make room and try again"
    return f"{file} is damaged ({words}); move it away to begin anew"
