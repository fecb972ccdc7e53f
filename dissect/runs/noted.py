"""What people said of a run's units, for everything that shows units and changes no notes.

    noted = read_noted(open_run("runs/faces"))
    noted.labels.get(("main.7", 12), "")  # "left ear"

Notes are no part of what a run measured, so whatever is wrong with them is told in one line on
stderr, and what was asked for is shown without them.
"""

import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tqdm import tqdm

from dissect.errors import RunError
from dissect.runs.note import COMMENT, LABEL, Note, harmless
from dissect.runs.notes import notes_of

if TYPE_CHECKING:
    import pandas as pd

    from dissect.runs.read import Run

SECOND = "second"
"""Name of a column with what people call units."""
_Unit = tuple[str, int]


@dataclass(frozen=True)
class Noted:
    """What people said of units, in the order of the run's layers and of their units.

    Attributes:
        labels: What they call each unit that they named: the latest label.
        notes: Everything that was said of each unit, the earliest first.
    """

    labels: Mapping[_Unit, str] = field(default_factory=dict)
    notes: Mapping[_Unit, tuple[Note, ...]] = field(default_factory=dict)


def read_noted(run: "Run") -> Noted:
    """The notes of a run; none, and a line on stderr, where they cannot be read.

    The file may be a stranger's: notes on units that the run does not have are left out, and
    labels and names of lists are made fit for a line of a terminal.
    """
    try:
        every = notes_of(run).all()
    except RunError as error:
        # tqdm's write leaves progress bars whole.
        tqdm.write(f"dissect: {error}; shown without notes", file=sys.stderr)
        return Noted()
    found: dict[_Unit, list[Note]] = {}
    for note in every:
        if note.layer in run.layers and 0 <= note.unit < run.layers[note.layer].units:
            plain = note if note.kind == COMMENT else replace(note, text=_one_line(note.text))
            found.setdefault((note.layer, note.unit), []).append(plain)
    place = {layer: number for number, layer in enumerate(run.layers)}
    ordered = sorted(found, key=lambda unit: (place[unit[0]], unit[1]))
    labels = {unit: [n.text for n in found[unit] if n.kind == LABEL] for unit in ordered}
    return Noted(
        {unit: texts[-1] for unit, texts in labels.items() if texts},
        {unit: tuple(found[unit]) for unit in ordered},
    )


def with_second(run: "Run", table: "pd.DataFrame") -> "pd.DataFrame":
    """A table of units with a column ``second``, what people call each; as it is if none is named.

    Args:
        run: Whose units.
        table: Columns ``layer`` and ``unit``.
    """
    labels = read_noted(run).labels
    if not labels:
        return table
    units = zip(table.layer, table.unit.astype(int), strict=True)
    return table.assign(**{SECOND: [labels.get(unit, "") for unit in units]})


def harmless_second(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table for spreadsheets: no ``second`` begins like a formula."""
    if SECOND not in table:
        return table
    return table.assign(**{SECOND: table[SECOND].map(harmless)})


def _one_line(text: str) -> str:
    """A text without line breaks, and without signs that a terminal would obey."""
    line = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(sign) == "Cc" else sign for sign in line)
