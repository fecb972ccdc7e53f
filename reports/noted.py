"""People's notes on units, for a report; the report of a run without notes has no such part.

Labels are part of the page itself, because every mention of a unit shows them. Other notes are
loaded when the unit's page opens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dissect.runs import Run
from dissect.runs.notes import COMMENT, LABEL, LIST, Noted, iso_time, read_noted

MOST_ROWS = 200
"""Number of units in the summary's list; the pages of units and layers show all notes."""
FILE = "notes"
"""Name of the data with notes."""
_KINDS = {LABEL: "Label", COMMENT: "Comment", LIST: "In the list"}


@dataclass(frozen=True)
class UnitRow:
    """A unit with notes.

    Attributes:
        layer, unit: The unit.
        concept: The concept that it is named after; "" if it is not named.
        lists: The lists that contain it, each once.
        n_comments: Number of comments on it.
    """

    layer: str
    unit: int
    concept: str
    lists: tuple[str, ...]
    n_comments: int


def noted_in(run: Run, layers: Sequence[str]) -> Noted:
    """The notes on the units of these layers."""
    every = read_noted(run)
    return Noted(
        {unit: label for unit, label in every.labels.items() if unit[0] in layers},
        {unit: notes for unit, notes in every.notes.items() if unit[0] in layers},
    )


def given_labels(noted: Noted, layers: Sequence[str]) -> dict[str, object]:
    """Data for the page's scripts: ``labels``, rows of layer, unit, label; {} without notes.

    Args:
        noted: Notes on the shown layers.
        layers: The shown layers; a row contains the layer's index in them.
    """
    if not noted.notes:
        return {}
    number = {layer: place for place, layer in enumerate(layers)}
    return {"labels": [[number[layer], unit, text] for (layer, unit), text in noted.labels.items()]}


def note_data(noted: Noted, layers: Sequence[str]) -> dict[str, object]:
    """Layer's index/unit → its notes as rows of kind, text, author, day; the latest first."""
    number = {layer: place for place, layer in enumerate(layers)}
    return {
        f"{number[layer]}/{unit}": [
            [_KINDS[note.kind], note.text, note.author, iso_time(note.made)[:10]]
            for note in reversed(notes)
        ]
        for (layer, unit), notes in noted.notes.items()
    }


def unit_rows(run: Run, noted: Noted, most: int = MOST_ROWS) -> list[UnitRow]:
    """The first units with notes."""
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
