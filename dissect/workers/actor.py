"""The worker's side on a cluster: an actor of Ray around the object that executes orders.

The object is the same as in a local process: ``Worker`` of the module that the crew names. Only its
folder differs: a temporary one on the actor's machine, into and out of which files are copied.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dissect.workers.channel import describe_error

Files = dict[str, UInt8[np.ndarray, " byte"]]
"""Name → content."""


class Actor:
    """One worker.

    Args:
        module: Module with a class ``Worker(order, stack, folder)``, whose ``do`` takes orders.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="dissect-")))
        self._worker: Any = None

    def do(self, order: Mapping[str, Any], files: Files) -> tuple[dict[str, Any], Files]:
        """Execute an order; the first one makes the worker.

        Args:
            order: The order.
            files: Files that it needs and that changed since they were last sent.

        Returns:
            The answer, and the files that it lists as made.
        """
        write_files(self._folder, files)
        answer: dict[str, Any] = {"ready": True}
        try:
            if self._worker is None:
                worker = import_module(self._module).Worker
                self._worker = worker(order, self._stack, self._folder)
            else:
                answer = self._worker.do(order)
        except Exception as error:  # the controlling process reports it
            return describe_error(error), {}
        return answer, read_files(self._folder, answer.get("made", []))

    def end(self) -> None:
        """Close everything and remove the folder."""
        self._stack.close()


def read_files(folder: Path, names: list[str]) -> Files:
    """Contents of files of a folder."""
    return {name: np.fromfile(folder / name, np.uint8) for name in names}


def write_files(folder: Path, files: Files) -> None:
    """Write files into a folder; each is complete or missing."""
    for name, content in files.items():
        temporary = folder / f"{name}.new"
        content.tofile(temporary)
        os.replace(temporary, folder / name)
