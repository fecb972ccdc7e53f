"""Generators that a page offers: names of the zoo, and checkpoints of one folder.

A browser sends a name, which is looked up here. A browser's value never becomes a path or a module.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from dissect.errors import ConfigError

_SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".pkl", ".ckpt", ".tar", ".onnx"})
_MOST = 1000
_DEEPEST = 4


def files_of(folder: Path | None) -> dict[str, Path]:
    """Path within the folder → checkpoint, by name; at most 1,000, four folders deep.

    Omits hidden files, and links to places outside of the folder.
    """
    if folder is None:
        return {}
    root = Path(folder).resolve()
    found: dict[str, Path] = {}
    for place, folders, names in os.walk(root):
        here = Path(place)
        deep = len(here.relative_to(root).parts)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and deep < _DEEPEST - 1)
        for name in sorted(names):
            path = here / name
            if name.startswith(".") or path.suffix.lower() not in _SUFFIXES:
                continue
            if path.is_file() and path.resolve().is_relative_to(root):
                found[path.relative_to(root).as_posix()] = path
            if len(found) == _MOST:
                return found
    return found


def generators_of(zoo: Mapping[str, bool], folder: Path | None) -> dict[str, str]:
    """Offered name → argument of the command line.

    Args:
        zoo: Name → whether it is available locally.
        folder: Folder of checkpoints; None offers none.
    """
    offered = {name: name for name, at_hand in zoo.items() if at_hand}
    for name, path in files_of(folder).items():
        offered[f"file: {name}"] = str(path)
    return offered


def look_up(offered: Mapping[str, str], given: object) -> str:
    """The argument for an offered name.

    Raises:
        ConfigError: the name is not offered.
    """
    if not isinstance(given, str) or given not in offered:
        raise ConfigError(
            f"generator is {str(given)[:60]!r}, which is not at hand; expected one of the list; "
            "dissect zoo get NAME fetches one, dissect serve --models FOLDER adds a folder's files"
        )
    return offered[given]
