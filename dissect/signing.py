"""Signed records in the user's state folder, which only this user can have written.

A record can start a process or import a module. So it is read only from the user's own state
folder, and carries an HMAC-SHA256 over its purpose and its content. The key is 32 random bytes in a
file that only the user can read (mode 0600).

The folder is the one of platformdirs; the environment variable ``DISSECT_STATE`` moves it.
"""

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from dissect.errors import DissectError

STATE_VARIABLE = "DISSECT_STATE"
_KEY = "key"
_KEY_BYTES = 32
_MOST_BYTES = 1_000_000


class SignatureError(DissectError):
    """A record that this user did not write, or a key that others can read."""


def state_folder() -> Path:
    """Folder of this user's records."""
    moved = os.environ.get(STATE_VARIABLE)
    return Path(moved) if moved else user_state_path("gan-dissection", appauthor=False)


def seal(record: Mapping[str, object], *, purpose: str) -> bytes:
    """A record as the bytes of a signed file.

    Args:
        record: Plain values.
        purpose: Purpose and owner of the record; a record with another purpose is invalid.

    Raises:
        SignatureError: other users can access the key.
        OSError: the key cannot be written.
    """
    text = json.dumps(record, sort_keys=True)
    signed = {"record": record, "signature": signature(text, purpose=purpose)}
    return json.dumps(signed, indent=1).encode()


def unseal(content: bytes, *, purpose: str) -> dict[str, Any]:
    """The record in a signed file.

    Raises:
        SignatureError: content that this user did not write for this purpose.
        OSError: the key cannot be read.
    """
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError
        signed = json.loads(content)
        record, given = signed["record"], signed["signature"]
        expected = signature(json.dumps(record, sort_keys=True), purpose=purpose)
        if isinstance(record, dict) and hmac.compare_digest(given, expected):
            return record
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise SignatureError(
        "a record is not signed by this user; expected one that this program wrote; delete it"
    )


def signature(text: str, *, purpose: str) -> str:
    """HMAC-SHA256 of a purpose and a text, in hexadecimal.

    Raises:
        SignatureError: other users can access the key.
        OSError: the key cannot be read or written.
    """
    message = f"{len(purpose)}:{purpose}{text}".encode("utf-8", "surrogatepass")
    return hmac.new(_key(), message, hashlib.sha256).hexdigest()


def _key() -> bytes:
    """The user's key, created on first use."""
    path = state_folder() / _KEY
    try:
        return _read_key(path)
    except FileNotFoundError:
        _make_key(path)
        return _read_key(path)


def _make_key(path: Path) -> None:
    """Write a new key beside ``path`` and link it there; the first of several processes wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{_KEY}.{os.getpid()}.{secrets.token_hex(4)}.new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(secrets.token_bytes(_KEY_BYTES))
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


def _read_key(path: Path) -> bytes:
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(file, "rb") as source:
        found = os.fstat(source.fileno())
        key = source.read(_KEY_BYTES + 1)
    others = stat.S_IRWXG | stat.S_IRWXO
    is_own = not hasattr(os, "getuid") or (
        found.st_uid == os.getuid() and not found.st_mode & others
    )
    if not is_own or len(key) != _KEY_BYTES:
        raise SignatureError(
            f"the key {path} is damaged or others may read it; expected {_KEY_BYTES} bytes that "
            "only you can read; delete it and start waiting jobs of the dashboard again"
        )
    return key
