"""People's labels of the units of an opened run, for every page that shows units."""

from collections.abc import Mapping

from dashboard.store import OpenRun
from dissect.errors import RunError
from dissect.runs.notes import notes_of


def second_labels(opened: OpenRun) -> Mapping[tuple[str, int], str]:
    """(layer, unit) → people's label; read again after each change.

    Empty if the notes cannot be read: the page of notes and that of a unit show the error, and
    other pages work without notes.
    """
    notes = notes_of(opened.run)
    stamp = notes.stamp()
    kept = opened.once("second labels", dict)
    known = kept.get("latest")
    if known is not None and known[0] == stamp:
        return known[1]
    try:
        found = notes.labels() if stamp else {}
    except RunError:
        found = {}
    kept["latest"] = stamp, found
    return found


def quoted(name: str) -> str:
    """A second label as the end of a unit's name in plain text, such as a title; "" for none."""
    return f" “{name}”" if name else ""
