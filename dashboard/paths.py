"""Names of files on pages: paths are shown relative to the folder of runs."""

import os
from pathlib import Path


def within(line: str, folder: Path) -> str:
    """Shorten paths in a line that are below a folder to start at that folder."""
    return line.replace(f"{folder.resolve()}{os.sep}", "")
