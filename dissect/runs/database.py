"""An sqlite file for one short use; what goes wrong with it is told in one line."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dissect.errors import RunError

_WAIT = 10.0  # seconds for another writer to finish


@contextmanager
def open_database(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Open a file, and close it after use. Transactions are begun by whoever uses it.

    Args:
        file: Which.
        mode: ``rw``, which reads where it may not write; ``rwc`` also makes a new one.

    Raises:
        RunError: a file that is damaged, in use for too long, or cannot be written; a full disk.
    """
    database = None
    try:
        address = f"{file.resolve().as_uri()}?mode={mode}"
        database = sqlite3.connect(address, uri=True, timeout=_WAIT, isolation_level=None)
        database.execute("PRAGMA trusted_schema = OFF")  # the file may be a stranger's
        yield database
    except (sqlite3.Error, OverflowError, ValueError, TypeError) as error:
        raise RunError(_told(file, error)) from error
    finally:
        if database is not None:
            database.close()


def _told(file: Path, error: Exception) -> str:
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
