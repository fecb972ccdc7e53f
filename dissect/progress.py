"""Progress on stderr: a bar for people at a terminal, or lines for another program.

A bar is drawn only if stderr is a terminal. A program that shows the progress of ``dissect`` itself
sets ``DISSECT_PROGRESS=lines`` and reads lines on stderr, mixed with other messages:

    dissect-progress {"stage": "measure", "done": 40, "total": 200, "unit": "image"}
"""

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

PROGRESS_VARIABLE = "DISSECT_PROGRESS"
LINES = "lines"
_WORD = "dissect-progress"
_LINE = re.compile(rf"{_WORD} (\{{.*\}})")
_PAUSE = 0.5  # seconds between two lines


class ProgressBar(tqdm):
    """A tqdm bar, or lines if the environment variable is set.

    Args:
        *given: Arguments of tqdm.
        disable: None draws a bar on terminals only; lines are always written.
        **options: Arguments of tqdm.
    """

    def __init__(self, *given: Any, disable: bool | None = False, **options: Any) -> None:
        self._lines = os.environ.get(PROGRESS_VARIABLE) == LINES
        if self._lines:
            options["mininterval"] = _PAUSE
            disable = bool(disable)
        super().__init__(*given, disable=disable, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Called by tqdm for each displayed change.

        Returns:
            Whether a bar was drawn; tqdm uses it, although its type hints say None.
        """
        if not self._lines:
            return super().display(msg, pos)
        if msg is None:  # a message clears an old bar
            stage = {"stage": self.desc.removesuffix(": "), "done": self.n, "total": self.total}
            self.fp.write(f"{_WORD} {json.dumps(stage | {'unit': self.unit})}\n")
            self.fp.flush()
        return False


@dataclass(frozen=True)
class Stage:
    """Progress of a stage.

    Attributes:
        name: Name of the stage.
        done, total: Completed steps, and all steps.
        unit: Name of a step, such as ``image``.
    """

    name: str
    done: int
    total: int
    unit: str


def read_stage(line: str) -> Stage | None:
    """Parse the progress from a line; None for any other line."""
    found = _LINE.fullmatch(line.strip())
    if found is None:
        return None
    try:
        content = json.loads(found[1])
        name, unit = str(content["stage"]), str(content["unit"])
        done, total = int(content["done"]), int(content["total"])
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    return Stage(name, min(done, total), total, unit) if done >= 0 and total > 0 else None
