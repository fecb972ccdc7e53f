"""The controls of a list of notes: delete, undo, and a dialog to edit a note.

The page of notes and that of a unit both use it, with different prefixes of the ids.
"""

import time
from collections.abc import Mapping

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from dashboard.callbacks import line_of, text
from dashboard.components.attributes import aria_of, data_attributes
from dashboard.notes import changes
from dashboard.store import OpenRun
from dissect.errors import ConfigError, DissectError
from dissect.runs.notes import COMMENT, LONGEST, notes_of


def note_editor(opened: OpenRun, prefix: str) -> Component:
    """The components that ``register`` needs on the page; each change sets ``prefix-changed``."""
    return html.Div(
        [
            dcc.Store(id=f"{prefix}-run", data=opened.id),
            dcc.Store(id=f"{prefix}-kept"),
            dcc.Store(id=f"{prefix}-edited"),
            dcc.Store(id=f"{prefix}-changed"),
            html.Div(
                [html.Span(id=f"{prefix}-status", role="status"), html.Span(id=f"{prefix}-back")],
                className="note-status",
            ),
            dmc.Modal(
                [
                    dmc.Textarea(
                        id=f"{prefix}-text",
                        label="Text",
                        debounce=True,  # otherwise Save may miss the last letters
                        autosize=True,
                        minRows=2,
                        inputProps={"maxLength": LONGEST[COMMENT]},
                        **data_attributes(autofocus=True),
                    ),
                    html.P(id=f"{prefix}-refused", role="alert", className="note-refused"),
                    dmc.Button("Save", id=f"{prefix}-save"),
                ],
                id=f"{prefix}-dialog",
                title="Edit a note",
                opened=False,
                **aria_of("closeButtonProps", label="Close without saving"),
            ),
        ]
    )


def register(app: Dash, prefix: str) -> None:
    """Register the callbacks of ``note_editor``."""
    shared = {"prevent_initial_call": True}
    app.callback(
        Output(f"{prefix}-status", "children"),
        Output(f"{prefix}-back", "children"),
        Output(f"{prefix}-kept", "data"),
        Output(f"{prefix}-changed", "data"),
        Input({"type": f"{prefix}-delete", "note": ALL}, "n_clicks"),
        State(f"{prefix}-run", "data"),
        **shared,
    )(lambda clicks, run_id: _delete(prefix, run_id))
    app.callback(
        Output(f"{prefix}-status", "children", allow_duplicate=True),
        Output(f"{prefix}-back", "children", allow_duplicate=True),
        Output(f"{prefix}-changed", "data", allow_duplicate=True),
        Input(f"{prefix}-undo", "n_clicks"),
        State(f"{prefix}-run", "data"),
        State(f"{prefix}-kept", "data"),
        **shared,
    )(_undo)
    app.callback(
        Output(f"{prefix}-dialog", "opened"),
        Output(f"{prefix}-text", "value"),
        Output(f"{prefix}-edited", "data"),
        Output(f"{prefix}-refused", "children"),
        Output(f"{prefix}-status", "children", allow_duplicate=True),
        Input({"type": f"{prefix}-edit", "note": ALL}, "n_clicks"),
        State(f"{prefix}-run", "data"),
        **shared,
    )(_open_dialog)
    app.callback(
        Output(f"{prefix}-dialog", "opened", allow_duplicate=True),
        Output(f"{prefix}-refused", "children", allow_duplicate=True),
        Output(f"{prefix}-status", "children", allow_duplicate=True),
        Output(f"{prefix}-changed", "data", allow_duplicate=True),
        Input(f"{prefix}-save", "n_clicks"),
        State(f"{prefix}-run", "data"),
        State(f"{prefix}-edited", "data"),
        State(f"{prefix}-text", "value"),
        **shared,
    )(_save)


def _delete(prefix: str, run_id: object) -> tuple:
    number = _note_of(changes.clicked())
    try:
        kept, message = changes.delete(notes_of(changes.opened_by(run_id).run), number)
    except DissectError as error:
        return line_of(error), None, None, time.time()
    return message, changes.undo_button(f"{prefix}-undo"), kept, time.time()


def _undo(clicks: object, run_id: object, kept: object) -> tuple:
    if not clicks:
        raise PreventUpdate
    try:
        back = changes.restore(notes_of(changes.opened_by(run_id).run), kept)
    except DissectError as error:
        return line_of(error), None, no_update
    return f"Brought back the {changes.describe(back)}.", None, time.time()


def _open_dialog(clicks: object, run_id: object) -> tuple:
    number = _note_of(changes.clicked())
    try:
        note = notes_of(changes.opened_by(run_id).run).get(number)
    except DissectError as error:
        return False, no_update, None, "", line_of(error)
    return True, note.text, {"note": note.id, "was": note.text}, "", ""


def _save(clicks: object, run_id: object, edited: object, written: object) -> tuple:
    if not clicks:
        raise PreventUpdate
    try:
        if not isinstance(edited, dict):
            raise ConfigError("no note is being edited; reload the page")
        notes = notes_of(changes.opened_by(run_id).run)
        was = text(edited.get("was"))
        note = notes.edit(_number(edited), text(written), was=was)
    except DissectError as error:
        return True, line_of(error), no_update, no_update
    return False, "", f"Saved the {changes.describe(note)}.", time.time()


def _note_of(used: object) -> int:
    if not isinstance(used, dict):
        raise PreventUpdate
    return _number(used)


def _number(used: Mapping[str, object]) -> int:
    """The note number in an id or a store; -1 for an invalid one."""
    number = used.get("note")
    return number if isinstance(number, int) else 0
