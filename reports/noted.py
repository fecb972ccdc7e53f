"""What people said of units, as a report tells it; a report of a run without notes has none of it.

Labels lie in the page itself, since they stand wherever a unit is named. What else was said of a
unit is read when its page opens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dissect.runs import Run
from dissect.runs.notes import COMMENT, LABEL, LIST, Noted, iso_time, read_noted

MOST_ROWS = 200
"""Units that the summary lists; the pages of units and layers tell of all."""
FILE = "notes"
"""Name of the data that hold notes."""
_KINDS = {LABEL: "Label", COMMENT: "Comment", LIST: "In the list"}


@dataclass(frozen=True)
class UnitRow:
    """A unit that somebody said something about.

    Attributes:
        layer, unit: Which.
        concept: What it is named after; "" if it is not named.
        lists: Those it is in, each once.
        n_comments: On it.
    """

    layer: str
    unit: int
    concept: str
    lists: tuple[str, ...]
    n_comments: int


def noted_in(run: Run, layers: Sequence[str]) -> Noted:
    """What was said of the units of these layers."""
    every = read_noted(run)
    return Noted(
        {unit: label for unit, label in every.labels.items() if unit[0] in layers},
        {unit: notes for unit, notes in every.notes.items() if unit[0] in layers},
    )


def given_labels(noted: Noted, layers: Sequence[str]) -> dict[str, object]:
    """What the page's scripts are given: ``labels``, rows of layer, unit, label; {} without notes.

    Args:
        noted: What was said of the shown layers.
        layers: These; a row has the number of its layer here.
    """
    if not noted.notes:
        return {}
    number = {layer: place for place, layer in enumerate(layers)}
    return {"labels": [[number[layer], unit, text] for (layer, unit), text in noted.labels.items()]}


def note_data(noted: Noted, layers: Sequence[str]) -> dict[str, object]:
    """Layer's number/unit → its notes as rows of kind, text, author, day; the latest first."""
    number = {layer: place for place, layer in enumerate(layers)}
    return {
        f"{number[layer]}/{unit}": [
            [_KINDS[note.kind], note.text, note.author, iso_time(note.made)[:10]]
            for note in reversed(notes)
        ]
        for (layer, unit), notes in noted.notes.items()
    }


def unit_rows(run: Run, noted: Noted, most: int = MOST_ROWS) -> list[UnitRow]:
    """The first units of which something was said."""
    chosen = list(noted.notes)[:most]
    names: dict[str, list[str]] = {}
    for layer in dict.fromkeys(layer for layer, _ in chosen):
        units = run.units(layer)
        names[layer] = units.concept.where(units.is_named, "").tolist()
    rows = []
    for layer, unit in chosen:
        notes = noted.notes[layer, unit]
        lists = tuple(dict.fromkeys(note.text for note in notes if note.kind == LIST))
        n_comments = sum(note.kind == COMMENT for note in notes)
        rows.append(UnitRow(layer, unit, names[layer][unit], lists, n_comments))
    return rows
