"""Deleting a note and restoring it, for every page that shows notes. Values are untrusted."""

from collections.abc import Mapping
from dataclasses import asdict

from dash import ctx, html
from dash.development.base_component import Component

from dashboard import context
from dashboard.callbacks import text
from dashboard.store import OpenRun
from dissect.errors import ConfigError
from dissect.runs.notes import LABEL, LIST, Note, Notes


def clicked() -> object:
    """The id of the used control. None if it was only added to the page."""
    used = bool(ctx.triggered) and bool(ctx.triggered[0]["value"])
    return ctx.triggered_id if used else None


def opened_by(run_id: object) -> OpenRun:
    """The run with an id sent by a browser.

    Raises:
        DissectError: no such run, or one that cannot be opened.
    """
    return context.current().store.open(text(run_id))


def delete(notes: Notes, number: int) -> tuple[dict[str, object], str]:
    """Delete a note; returns it for storage in the browser, and a message."""
    gone = notes.delete(number)
    return asdict(gone), f"Deleted the {describe(gone)}."


def restore(notes: Notes, kept: object) -> Note:
    """Restore a note returned by ``delete``.

    Raises:
        ConfigError: another value.
        DissectError: the errors of ``Notes.restore``.
    """
    types = {"kind": str, "layer": str, "unit": int, "text": str, "author": str}
    found = dict(kept) if isinstance(kept, Mapping) else {}
    good = all(type(found.get(name)) is kind for name, kind in types.items())
    if not good or type(found.get("made")) not in (int, float):
        raise ConfigError("there is nothing to bring back; reload the page")
    made = min(max(float(found["made"]), 0.0), 1e11)
    return notes.restore(Note(id=0, made=made, **{name: found[name] for name in types}))


def describe(note: Note) -> str:
    """A note in a few words."""
    short = note.text if len(note.text) <= 40 else note.text[:39] + "…"
    if note.kind == LIST:
        return f"place in the list “{short}”"
    return f"{'label' if note.kind == LABEL else 'comment'} “{short}”"


def undo_button(name: str) -> Component:
    """The undo button, which replaces the button of a deleted note."""
    return html.Button("Undo", id=name, className="action", autoFocus=True)
