"""Names of files on pages: paths of this machine are shown from the folder of runs on."""

import os
from pathlib import Path


def within(line: str, folder: Path) -> str:
    """A line in which files below a folder are named from there on, not from the root."""
    return line.replace(f"{folder.resolve()}{os.sep}", "")
