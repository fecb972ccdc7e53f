"""Atomic replacement of a folder or file."""

import os
import shutil
from pathlib import Path

from dissect.errors import ConfigError


def replace_folder(fresh: Path, target: Path) -> None:
    """Put ``fresh`` in the place of ``target``; both are in the same folder.

    A non-empty folder cannot be replaced in one step: the old one is renamed first, and renamed
    back if the new one cannot take its place.
    """
    old = fresh.with_name(fresh.name + ".old")
    existed = target.exists() or target.is_symlink()
    if existed:
        os.replace(target, old)
    try:
        os.replace(fresh, target)
    except OSError:
        if existed:
            os.replace(old, target)
        raise
    if old.is_symlink():
        old.unlink()
    shutil.rmtree(old, ignore_errors=True)


def replace_file(target: Path, content: bytes) -> None:
    """Write a file beside ``target`` and rename it, so that it is never half written."""
    fresh = target.with_name(f".{target.name[:100]}.{os.getpid()}.new")  # file systems stop at 255
    try:
        fresh.unlink(missing_ok=True)
        with fresh.open("xb") as file:  # "x": never through an existing link
            file.write(content)
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)


def write_named_file(path: Path, content: bytes) -> Path:
    """Write a file at the user's path, atomically; creates the folders that it needs.

    Raises:
        ConfigError: a path that cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}); expected a folder that takes files"
        ) from error
    return path
