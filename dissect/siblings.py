"""Checks that ``segmenters``, ``reports`` and ``dashboard`` are this project's own packages.

``python -m dissect`` searches the working folder first. A folder there with one of these names
hides this project's package. Imports nothing of the project.
"""

import importlib.util
import sys
from pathlib import Path

_HOME = Path(__file__).resolve().parents[1]


def shadowing_path(name: str) -> Path | None:
    """Path from which a top-level name would be imported instead of this project's package.

    Returns:
        None if the name is this project's own, or does not exist.
    """
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a spec was put there
        return Path(name)
    if spec is None or spec.origin is None:  # none, or a folder without __init__.py
        return None
    found = Path(spec.origin)
    if found.resolve() == (_HOME / name / "__init__.py").resolve():
        return None
    return found.parent if found.name == "__init__.py" else found


def shadowing_message(name: str, path: Path) -> str:
    """The error message, one line."""
    return (
        f"{path} hides the package {name!r} of gan-dissection; expected {_HOME / name}; rename it, "
        "or run dissect from another folder"
    )


def check_segmenters() -> None:
    """Raise an error for a foreign ``segmenters``, without which this package cannot be imported.

    Raises:
        ImportError: it is another package.
        SystemExit: the same as one line, if this process is the command line.
    """
    path = shadowing_path("segmenters")
    if path is None:
        return
    message = shadowing_message("segmenters", path)
    if sys.orig_argv[1:3] == ["-m", "dissect"] or Path(sys.argv[0]).name == "dissect":
        print(f"dissect: {message}", file=sys.stderr)
        raise SystemExit(2)
    raise ImportError(message)
