"""Puts a finished folder in the place of another."""

import os
import shutil
from pathlib import Path


def replace_folder(fresh: Path, target: Path) -> None:
    """Put ``fresh`` where ``target`` is or shall be; both lie in the same folder.

    A folder that is not empty cannot be replaced in one step: the old one steps aside, and comes
    back if the new one cannot take its place.
    """
    old = fresh.with_name(fresh.name + ".old")
    existed = target.exists()
    if existed:
        os.replace(target, old)
    try:
        os.replace(fresh, target)
    except OSError:
        if existed:
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
