"""Progress on stderr: a bar for people at a terminal, or lines for a program that follows.

A bar is drawn only where stderr is a terminal. Whoever starts ``dissect`` and shows its progress
elsewhere sets ``DISSECT_PROGRESS=lines`` and finds on stderr, among whatever else is told there:

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
    """A bar as tqdm draws it, or lines where the environment asks for them.

    Args:
        *given: As tqdm takes them.
        disable: None draws a bar on terminals only; lines are written wherever stderr goes.
        **options: As tqdm takes them.
    """

    def __init__(self, *given: Any, disable: bool | None = False, **options: Any) -> None:
        self._lines = os.environ.get(PROGRESS_VARIABLE) == LINES
        if self._lines:
            options["mininterval"] = _PAUSE
            disable = bool(disable)
        super().__init__(*given, disable=disable, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Called by tqdm for each change that is shown.

        Returns:
            Whether a bar was drawn; tqdm uses it, though its hints say None.
        """
        if not self._lines:
            return super().display(msg, pos)
        if msg is None:  # else an old bar is wiped away
            stage = {"stage": self.desc.removesuffix(": "), "done": self.n, "total": self.total}
            self.fp.write(f"{_WORD} {json.dumps(stage | {'unit': self.unit})}\n")
            self.fp.flush()
        return False


@dataclass(frozen=True)
class Stage:
    """How far a stage is.

    Attributes:
        name: Of the stage.
        done, total: Steps, of how many.
        unit: What a step is, such as ``image``.
    """

    name: str
    done: int
    total: int
    unit: str


def read_stage(line: str) -> Stage | None:
    """The progress in a line; None for any other line."""
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
